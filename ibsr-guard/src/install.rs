// SPDX-License-Identifier: MIT OR Apache-2.0
//! A compiled policy into the maps of the guard, as the next generation.
//!
//! Every table of the policy is a new inner map in the slot that no program reads; then one
//! word names the new generation. A program reads that word once, so it judges by one policy
//! from begin to end. The slot that was in use before is only written again after every program
//! that could read it has ended: a write to the outer map waits for that in the kernel.

use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Context as _, Result, ensure};
use ibsr_policy::{Compiled, Prefix};
use ibsr_proto::guard_abi::{
    AddrKey, Class, ExeKey, Leaf, NAME_BYTES, NameKey, Policy as Head, SLOTS,
};
use ibsr_proto::guard_control::Control;
use libbpf_rs::libbpf_sys::{self, bpf_map_create_opts};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use zerocopy::{FromBytes as _, IntoBytes};

/// The word that names the generation.
pub const CONTROL: &str = "ibsr_g_control";
/// Every outer map.
pub const TABLES: [&str; 12] = [
    "ibsr_g_policy",
    "ibsr_g_classes",
    "ibsr_g_leaves",
    "ibsr_g_protos",
    "ibsr_g_ports",
    "ibsr_g_addrs",
    "ibsr_g_names",
    "ibsr_g_protected",
    "ibsr_g_exes",
    "ibsr_g_users",
    "ibsr_g_cgroups",
    "ibsr_g_resolvers",
];

/// Those whose old generation is worth letting go at once: each write costs a grace period.
const LARGE: [&str; 3] = ["ibsr_g_addrs", "ibsr_g_names", "ibsr_g_ports"];

/// The maps of a guard that is loaded, by their names in the object.
pub trait Maps {
    /// A map.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn map(&self, name: &str) -> Result<MapHandle>;
}

/// Makes `compiled` the policy in use; the answer is its generation.
///
/// Both generations are in memory until the old one is let go, at the end.
///
/// # Errors
/// When the kernel has no memory or the maps are none of a guard. The policy that was in use
/// stays in use then.
pub fn install(maps: &impl Maps, compiled: &Compiled, protected: &[Prefix]) -> Result<u64> {
    stage(maps, compiled, protected)?.swap(maps)?.release(maps)
}

/// A policy whose tables are in the slot that is not in use.
#[derive(Debug)]
#[must_use = "a staged policy is not in use"]
pub struct Staged {
    generation: u64,
    slot: u32,
}

/// Puts the tables of `compiled` where no program reads.
///
/// # Errors
/// As [`install`].
pub fn stage(maps: &impl Maps, compiled: &Compiled, protected: &[Prefix]) -> Result<Staged> {
    let generation = read_control(&maps.map(CONTROL)?)?.generation + 1;
    let slot = u32::try_from(generation & 1).expect("one bit");
    for name in TABLES {
        let inner = table(name, compiled, protected, generation)
            .with_context(|| format!("failed to make the table `{name}`"))?;
        set_slot(&maps.map(name)?, slot, &inner)
            .with_context(|| format!("failed to set slot {slot} of `{name}`"))?;
    }
    Ok(Staged { generation, slot })
}

impl Staged {
    /// Names it as the one in use, and waits for the programs that began before.
    ///
    /// # Errors
    /// As [`install`].
    pub fn swap(self, maps: &impl Maps) -> Result<Swapped> {
        // Read again: a policy that takes seconds to stage must not undo a disarm of meanwhile.
        let control_map = maps.map(CONTROL)?;
        let control = read_control(&control_map)?;
        write_control(&control_map, &Control { generation: self.generation, ..control })?;
        wait_for_programs(maps)?;
        Ok(Swapped { generation: self.generation, slot: self.slot })
    }
}

/// A policy by which every program judges; the tables of the one before are still there.
#[derive(Debug)]
#[must_use = "the policy before takes memory"]
pub struct Swapped {
    generation: u64,
    slot: u32,
}

impl Swapped {
    /// Lets the tables of the policy before go, those that are large; the generation in use.
    ///
    /// # Errors
    /// As [`install`].
    pub fn release(self, maps: &impl Maps) -> Result<u64> {
        for name in LARGE {
            // A slot that was never set is not there to delete.
            let _absent = maps.map(name)?.delete(&(self.slot ^ 1).to_ne_bytes());
        }
        Ok(self.generation)
    }
}

/// The control word.
///
/// # Errors
/// When it cannot be read.
pub fn read_control(map: &MapHandle) -> Result<Control> {
    let bytes = map.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)?;
    let bytes = bytes.context("the control word has no entry")?;
    Control::read_from_bytes(&bytes).ok().context("the control word is of another version")
}

/// Writes the control word.
///
/// # Errors
/// When the kernel refuses.
pub fn write_control(map: &MapHandle, control: &Control) -> Result<()> {
    map.update(&0_u32.to_ne_bytes(), control.as_bytes(), MapFlags::ANY)
        .context("failed to write the control word")
}

fn set_slot(outer: &MapHandle, slot: u32, inner: &MapHandle) -> Result<()> {
    let fd = u32::try_from(inner.as_fd().as_raw_fd()).context("a descriptor is positive")?;
    Ok(outer.update(&slot.to_ne_bytes(), &fd.to_ne_bytes(), MapFlags::ANY)?)
}

/// Returns when no program reads the generation before: a write to an outer map waits for that.
/// Without it the next swap could mix two policies.
fn wait_for_programs(maps: &impl Maps) -> Result<()> {
    let heads = maps.map(TABLES[0])?;
    let waiter = head_table(&Head::default())?;
    set_slot(&heads, SLOTS - 1, &waiter).context("failed to wait for the programs")
}

fn head_table(head: &Head) -> Result<MapHandle> {
    array(&[head.as_bytes()], size_of::<Head>())
}

fn table(
    name: &str,
    compiled: &Compiled,
    protected: &[Prefix],
    generation: u64,
) -> Result<MapHandle> {
    let tables = &compiled.tables;
    match name {
        "ibsr_g_policy" => head_table(&Head { generation, ..tables.policy }),
        "ibsr_g_classes" => array(&rows(&tables.classes), size_of::<Class>()),
        "ibsr_g_leaves" => array(&rows(&tables.leaves), size_of::<Leaf>()),
        "ibsr_g_protos" => array(&rows(&tables.protocols), size_of::<u32>()),
        "ibsr_g_ports" => array(&rows(&tables.ports), size_of::<u32>()),
        "ibsr_g_addrs" => {
            let keys = tables.addrs.iter().map(|((prefix_bits, addr), class)| {
                (AddrKey { prefix_bits: *prefix_bits, addr: *addr }, *class)
            });
            keyed(MapType::LpmTrie, size_of::<AddrKey>(), keys)
        }
        "ibsr_g_names" => {
            let keys = tables.names.iter().map(|(reversed, class)| (name_key(reversed), *class));
            keyed(MapType::LpmTrie, size_of::<NameKey>(), keys)
        }
        "ibsr_g_protected" => {
            let keys = protected
                .iter()
                .map(|prefix| (AddrKey { prefix_bits: prefix.bits(), addr: prefix.addr() }, 1));
            keyed(MapType::LpmTrie, size_of::<AddrKey>(), keys)
        }
        "ibsr_g_exes" => {
            let keys = tables.exes.iter().map(|(key, class)| (*key, *class));
            keyed(MapType::Hash, size_of::<ExeKey>(), keys)
        }
        "ibsr_g_users" => {
            let keys = tables.users.iter().map(|(key, class)| (*key, *class));
            keyed(MapType::Hash, size_of::<u32>(), keys)
        }
        "ibsr_g_resolvers" => {
            let keys = tables.resolvers.iter().map(|addr| (*addr, 1));
            keyed(MapType::Hash, size_of::<[u8; 16]>(), keys)
        }
        _ => {
            let keys = tables.cgroups.iter().map(|(key, class)| (*key, *class));
            keyed(MapType::Hash, size_of::<u64>(), keys)
        }
    }
}

fn name_key(reversed: &[u8]) -> NameKey {
    let mut name = [0; NAME_BYTES];
    name[..reversed.len()].copy_from_slice(reversed);
    let prefix_bits = u32::try_from(reversed.len() * 8).expect("a name is short");
    NameKey { prefix_bits, name }
}

fn rows<T: IntoBytes + zerocopy::Immutable>(values: &[T]) -> Vec<&[u8]> {
    values.iter().map(IntoBytes::as_bytes).collect()
}

/// An array of its own size: that needs the flag that lets sizes differ inside an outer map.
fn array(rows: &[&[u8]], value_size: usize) -> Result<MapHandle> {
    let map = create(MapType::Array, 4, value_size, rows.len(), libbpf_sys::BPF_F_INNER_MAP)?;
    let keys: Vec<u8> = (0_u32..).take(rows.len()).flat_map(|row| row.to_ne_bytes()).collect();
    fill(&map, &keys, &rows.concat(), rows.len())?;
    Ok(map)
}

fn keyed<K: IntoBytes + zerocopy::Immutable>(
    kind: MapType,
    key_size: usize,
    entries: impl Iterator<Item = (K, u32)>,
) -> Result<MapHandle> {
    let (mut keys, mut values, mut count) = (Vec::new(), Vec::new(), 0);
    for (key, value) in entries {
        keys.extend_from_slice(key.as_bytes());
        values.extend_from_slice(&value.to_ne_bytes());
        count += 1;
    }
    let flags = if kind == MapType::LpmTrie { libbpf_sys::BPF_F_NO_PREALLOC } else { 0 };
    let map = create(kind, key_size, 4, count, flags)?;
    fill(&map, &keys, &values, count)?;
    Ok(map)
}

fn create(
    kind: MapType,
    key_size: usize,
    value_size: usize,
    entries: usize,
    flags: u32,
) -> Result<MapHandle> {
    let opts = bpf_map_create_opts {
        sz: size_of::<bpf_map_create_opts>() as u64,
        map_flags: flags,
        ..bpf_map_create_opts::default()
    };
    // No map may be empty.
    let max_entries = u32::try_from(entries.max(1)).context("too many entries")?;
    let size = |bytes: usize| u32::try_from(bytes).expect("a key or a value of ours");
    MapHandle::create(
        kind,
        Some("ibsr_g_inner"),
        size(key_size),
        size(value_size),
        max_entries,
        &opts,
    )
    .context("failed to make a map")
}

fn fill(map: &MapHandle, keys: &[u8], values: &[u8], count: usize) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    ensure!(
        keys.len().is_multiple_of(count) && values.len().is_multiple_of(count),
        "rows are of one size"
    );
    let count = u32::try_from(count).context("too many entries")?;
    map.update_batch(keys, values, count, MapFlags::ANY, MapFlags::ANY)
        .context("failed to fill a map")
}
