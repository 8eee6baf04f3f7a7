// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::cgroup_abi;

/// A word that meant another number than the ABI's would rewrite history.
#[test]
fn words_are_those_of_the_abi() {
    for number in 0..=u8::MAX {
        let direction = cgroup_abi::Direction::from_abi(number.into());
        let learned = cgroup_abi::Learned::from_abi(number.into());
        let word = direction.map_or(number.to_string(), |it| it.as_str().to_owned());
        assert_eq!(Direction(number).to_string(), word);
        let word = learned.map_or(number.to_string(), |it| it.as_str().to_owned());
        assert_eq!(Learned(number).to_string(), word);
    }
}

#[test]
fn every_number_reads_back_whether_it_has_a_word_or_not() {
    for number in 0..=u16::MAX {
        assert_eq!(ErrorName(number).to_string().parse(), Ok(ErrorName(number)));
        assert_eq!(Protocol(number).to_string().parse(), Ok(Protocol(number)));
        assert_eq!(Family(number).to_string().parse(), Ok(Family(number)));
    }
    for number in 0..=u8::MAX {
        assert_eq!(TcpState(number).to_string().parse(), Ok(TcpState(number)));
    }
    assert!("EWHAT".parse::<ErrorName>().is_err());
    assert!("65536".parse::<ErrorName>().is_err());
}

#[test]
fn the_names_of_errors_are_those_of_this_machine() {
    for &(number, name) in ErrorName::WORDS {
        let text = std::io::Error::from_raw_os_error(number.into()).to_string();
        assert!(!text.contains("Unknown error"), "{name}: {text}");
    }
    let refused = std::io::Error::from_raw_os_error(111);
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(ErrorName(111).to_string(), "ECONNREFUSED");
    assert_eq!(ErrorName(110).to_string(), "ETIMEDOUT");
}

#[test]
fn steps_are_a_list_of_words_and_a_new_bit_is_a_number() {
    let all = cgroup_abi::step::ALL.iter().fold(0, |all, (bit, _)| all | bit);
    for steps in [Steps(0), Steps(all), Steps(all | 1 << 31)] {
        let text = serde_json::to_string(&steps).expect("serializes");
        assert_eq!(serde_json::from_str::<Steps>(&text).expect("parses"), steps, "{text}");
    }
    let text = serde_json::to_string(&Steps(0x24 | 1 << 31)).expect("serializes");
    assert_eq!(text, r#"["listened","established","2147483648"]"#);
    assert!(serde_json::from_str::<Steps>(r#"["flown"]"#).is_err());
}

#[test]
fn keys_and_devices_are_text_of_fixed_meaning() {
    assert_eq!(Hex(0xfeed).to_string(), "000000000000feed");
    assert_eq!("ffffffffffffffff".parse(), Ok(Hex(u64::MAX)));
    assert_eq!(Device(253 << 20 | 1).to_string(), "253:1");
    for device in [0, 1 << 20, u32::MAX] {
        assert_eq!(Device(device).to_string().parse(), Ok(Device(device)));
    }
    assert!("4096:0".parse::<Device>().is_err());
    assert!("1:1048576".parse::<Device>().is_err());
}
