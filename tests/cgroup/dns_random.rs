// SPDX-License-Identifier: MIT OR Apache-2.0
//! Thousands of messages, good and damaged, over real sockets: after each the sensor's counters
//! are those of the reference, and at the end its tables too.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ibsr_proto::cgroup_dns_abi::{DnsTotals, NAME_BYTES};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::dns::{
    A, AAAA, CNAME, attach, header, hex, mapped, names, record, server, text, totals,
};
use ibsr_tests::segments::Random;
use test_tag::tag;

use crate::dns_reference::{Found, Name, Question, Said, Verdict, read};

/// In this order, so that a failure can be repeated.
const SEED: u64 = 0x0d15_ea5e;
const MESSAGES: usize = 6_000;
const NAMES: usize = 60;
const NS_PER_S: u64 = 1_000_000_000;

/// Labels of any bytes; some names are as long as one can be, some have very many labels.
fn random_name(random: &mut Random) -> Name {
    let (labels, longest) = match random.below(10) {
        0 => (126, 1),
        1 => (4, 63),
        2 => (1, 63),
        3 => (0, 1),
        4 => (12, 9),
        _ => (1 + random.below(5), 12),
    };
    let mut name = Name::new();
    let mut room = 254_usize;
    for _ in 0..labels {
        let len = if longest == 63 { 63 } else { 1 + random.below(longest) as usize };
        if room < len + 1 {
            break;
        }
        room -= len + 1;
        let letters = b"abcXYZ019-._\\\x00\xff\xc0@[`{";
        let label = (0..len).map(|_| letters[random.below(letters.len() as u64) as usize]);
        name.push(label.collect());
    }
    name
}

/// A message in the making, with where each name that it has stands.
struct Writer {
    message: Vec<u8>,
    known: BTreeMap<Name, usize>,
}

impl Writer {
    /// Spelled out, or pointed to as far as it is known, as chance has it.
    fn name(&mut self, name: &[Vec<u8>], random: &mut Random) {
        for at in 0..=name.len() {
            let rest = &name[at..];
            let known = self.known.get(rest).copied().filter(|_| random.below(5) > 0);
            if let Some(to) = known {
                self.message.extend((0xc000 | to as u16).to_be_bytes());
                return;
            }
            if self.message.len() < 0x3fff && !rest.is_empty() {
                self.known.insert(rest.to_vec(), self.message.len());
            }
            let label = rest.first().map_or(&[][..], Vec::as_slice);
            self.message.push(label.len() as u8);
            self.message.extend(label);
        }
    }
}

fn spelled(name: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name {
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
    wire
}

/// Upper and lower case as chance has it.
fn shuffle_case(bytes: &mut [u8], random: &mut Random) {
    for byte in bytes.iter_mut().filter(|byte| byte.is_ascii_alphabetic()) {
        *byte ^= (random.below(2) as u8) << 5;
    }
}

fn random_question(pool: &[Name], random: &mut Random) -> Vec<u8> {
    let name = &pool[random.below(NAMES as u64) as usize];
    let kind = [A, A, A, AAAA, AAAA, 255, 16, CNAME][random.below(8) as usize];
    let class: u16 = if random.below(20) == 0 { 3 } else { 1 };
    let mut message = header(random.next_u64() as u16, 0x0100, 0);
    message.extend(spelled(name));
    shuffle_case(&mut message[12..], random);
    message.extend(kind.to_be_bytes());
    message.extend(class.to_be_bytes());
    if random.below(2) == 0 {
        message[11] = 1;
        message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    message
}

/// Few, so that some get another name later.
fn random_ip(kind: u16, random: &mut Random) -> Vec<u8> {
    let low = random.below(200) as u8;
    match kind {
        A => Ipv4Addr::new(10, 1, 2, low).octets().to_vec(),
        _ => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, low.into()).octets().to_vec(),
    }
}

/// An answer as a resolver could give it, to the question that was `asked`.
fn random_reply(asked: &[u8], question: &Question, pool: &[Name], random: &mut Random) -> Vec<u8> {
    let rcode = [0, 0, 0, 0, 0, 0, 0, 2, 3, 5][random.below(10) as usize];
    let end = 12 + spelled(&question.name).len() + 4;
    let cut = if random.below(20) == 0 { 0x200 } else { 0 };
    let mut message = header(question.id, 0x8180 | cut | rcode, 0);
    message.extend(&asked[12..end]);
    let mut writer = Writer { message, known: BTreeMap::new() };
    let mut current = question.name.clone();
    let spelled_at: Vec<usize> = current
        .iter()
        .scan(12, |at, label| {
            let here = *at;
            *at += 1 + label.len();
            Some(here)
        })
        .collect();
    for (number, at) in spelled_at.into_iter().enumerate() {
        writer.known.insert(current[number..].to_vec(), at);
    }
    let records = random.below(20) as u16;
    for _ in 0..records {
        let other = pool[random.below(NAMES as u64) as usize].clone();
        let ttl_s = [0, 1, 60, 3_600, 1 << 30, u32::MAX][random.below(6) as usize];
        let asked_kind = if question.kind == 255 { A } else { question.kind };
        let (owner, kind) = match random.below(10) {
            0 | 1 => (current.clone(), CNAME),
            2 => (other.clone(), asked_kind),
            3 => (current.clone(), [A, AAAA, 16][random.below(3) as usize]),
            _ => (current.clone(), asked_kind),
        };
        writer.name(&owner, random);
        let at = writer.message.len();
        writer.message.extend(record(&[], kind, ttl_s, &[]));
        match kind {
            CNAME => {
                writer.name(&other, random);
                if owner == current {
                    current = other;
                }
            }
            A | AAAA => writer.message.extend(random_ip(kind, random)),
            _ => writer.message.extend(b"\x04text"),
        }
        let len = (writer.message.len() - at - 10) as u16;
        writer.message[at + 8..at + 10].copy_from_slice(&len.to_be_bytes());
    }
    writer.message[6..8].copy_from_slice(&records.to_be_bytes());
    writer.message
}

/// Damage of one kind or another.
fn damage(message: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(message.len().max(1) as u64) as usize;
        let Some(byte) = message.get_mut(at) else { return };
        match random.below(6) {
            0 => *byte = random.next_u64() as u8,
            1 => *byte = 0xc0,
            2 => *byte ^= 1 << random.below(8),
            3 => message.truncate(at),
            4 => message.extend(random.bytes(1 + at)),
            _ => message[at.min(11)] = random.below(3) as u8,
        }
    }
}

/// What the sensor should have by now.
#[derive(Default)]
struct Model {
    totals: DnsTotals,
    /// Each with whether it was answered.
    open: BTreeMap<Question, bool>,
    /// Address: name, seconds, CNAMEs.
    names: BTreeMap<[u8; 16], (Name, u32, u64)>,
    texts: BTreeMap<Name, ()>,
}

impl Model {
    fn asks(&mut self, message: &[u8]) {
        let totals = &mut self.totals;
        totals.questions += 1;
        match read(message, false) {
            Verdict::Asks(question) => {
                totals.asked += 1;
                self.open.insert(question, false);
            }
            Verdict::Malformed | Verdict::TooLong => totals.question_malformed += 1,
            Verdict::Count => totals.question_count += 1,
            Verdict::Other => totals.question_other += 1,
            Verdict::Says(..) => unreachable!("no answer was looked for"),
        }
    }

    fn says(&mut self, message: &[u8]) {
        let totals = &mut self.totals;
        totals.answers += 1;
        let (question, said) = match read(message, true) {
            Verdict::Says(question, said) => (question, said),
            Verdict::Malformed => return totals.answer_malformed += 1,
            Verdict::TooLong => return totals.answer_too_long += 1,
            Verdict::Count => return totals.answer_count += 1,
            Verdict::Other => return totals.answer_other += 1,
            Verdict::Asks(..) => unreachable!("no question was looked for"),
        };
        let Some(is_answered) = self.open.get_mut(&question) else {
            return totals.unasked += 1;
        };
        if *is_answered {
            return totals.repeated += 1;
        }
        *is_answered = !matches!(said, Said::Malformed | Said::TooDeep);
        match said {
            Said::Truncated => totals.truncated += 1,
            Said::Error(3) => totals.nxdomain += 1,
            Said::Error(2) => totals.servfail += 1,
            Said::Error(_) => totals.other_rcode += 1,
            Said::Malformed => totals.answer_malformed += 1,
            Said::TooDeep => totals.answer_too_deep += 1,
            Said::Addresses(found) => self.learn(&question, &found),
        }
    }

    fn learn(&mut self, question: &Question, found: &Found) {
        let totals = &mut self.totals;
        totals.answered += 1;
        totals.cnames += found.cnames;
        totals.records_foreign += found.foreign;
        if !found.addresses.is_empty() && self.texts.insert(question.name.clone(), ()).is_none() {
            totals.names_inserted += 1;
        }
        for (ip, ttl_s) in &found.addresses {
            totals.learned += 1;
            let entry = (question.name.clone(), *ttl_s, found.cnames);
            let before = self.names.insert(mapped(*ip), entry);
            totals.renamed += u64::from(before.is_some_and(|before| before.0 != question.name));
        }
    }
}

/// Every message is judged as the reference judges it, and teaches what that says.
#[tag(root)]
#[test]
fn dns_messages_are_judged_as_the_reference_judges_them() {
    let mut random = Random(SEED);
    let cgroup = Cgroup::new();
    let (socket, at) = server("127.0.0.81");
    let sensor = attach(&cgroup, &[at.port()], &[], 4_096);
    let mut client = Actor::start(&cgroup);
    client.socket("c", "udp4");
    client.act(&format!("connect c {at}"));
    let pool: Vec<Name> = (0..NAMES).map(|_| random_name(&mut random)).collect();
    let mut model = Model::default();
    let mut data = vec![0; 65_536];
    for number in 0..MESSAGES {
        let mut asked = random_question(&pool, &mut random);
        if random.below(10) == 0 {
            damage(&mut asked, &mut random);
        }
        model.asks(&asked);
        client.tell(&format!("ask c {} 1", hex(&asked)));
        let (bytes, from) = socket.recv_from(&mut data).expect("it was sent");
        assert_eq!(data[..bytes], asked);
        let mut reply = match read(&asked, false) {
            Verdict::Asks(question) => random_reply(&asked, &question, &pool, &mut random),
            _ => random.bytes(40),
        };
        if random.below(2) == 0 {
            damage(&mut reply, &mut random);
        }
        let unread = match read(&reply, true) {
            Verdict::Says(question, Said::Addresses(found))
                if model.open.get(&question) == Some(&false) =>
            {
                found.unread
            }
            Verdict::Says(question, Said::Malformed | Said::TooDeep)
                if model.open.get(&question) == Some(&false) =>
            {
                let count = u16::from_be_bytes([reply[6], reply[7]]);
                u64::from(count.saturating_sub(16))
            }
            _ => 0,
        };
        model.totals.records_unread += unread;
        model.says(&reply);
        socket.send_to(&reply, from).expect("it listens");
        client.answer().expect("it was heard");
        assert_eq!(totals(&sensor), model.totals, "{number}: {} -> {}", hex(&asked), hex(&reply));
    }
    println!("{:#?}", model.totals);
    check_tables(&sensor, &model, at.ip());
}

fn check_tables(sensor: &ibsr_tests::cgroup::CgroupSensor, model: &Model, server: IpAddr) {
    let found = names(sensor);
    assert!(found.len() > 300, "{} addresses", found.len());
    assert_eq!(found.keys().collect::<Vec<_>>(), model.names.keys().collect::<Vec<_>>());
    let mut cut = 0;
    for (addr, (name, ttl_s, cnames)) in &model.names {
        let known = &found[addr];
        let wire = spelled(name);
        let text = text(sensor, known.name).expect("a name has a text");
        let kept = wire.len().min(NAME_BYTES);
        assert_eq!(usize::from(text.wire_bytes), wire.len());
        assert_eq!(text.wire[..kept], wire[..kept]);
        assert_eq!(text.wire[kept..], [0; NAME_BYTES][kept..]);
        assert_eq!(known.expiry_boot_ns - known.learned_boot_ns, u64::from(*ttl_s) * NS_PER_S);
        assert_eq!((u64::from(known.chain), known.resolver), (*cnames, mapped(server)));
        cut += usize::from(text.is_cut());
    }
    assert!(cut > 0, "no name was cut");
    let totals = model.totals;
    for (what, count) in [
        ("malformed questions", totals.question_malformed),
        ("counts", totals.question_count.min(totals.answer_count)),
        ("others", totals.question_other.min(totals.answer_other)),
        ("malformed answers", totals.answer_malformed),
        ("too deep", totals.answer_too_deep),
        ("too long", totals.answer_too_long),
        ("unasked", totals.unasked),
        ("truncated", totals.truncated),
        ("errors", totals.nxdomain.min(totals.servfail).min(totals.other_rcode)),
        ("chains", totals.cnames),
        ("renamed", totals.renamed),
        ("unread", totals.records_unread),
    ] {
        assert!(count > 0, "no {what}: the messages are too tame");
    }
}
