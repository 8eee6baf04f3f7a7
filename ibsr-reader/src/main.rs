//! placeholder
#![allow(dead_code)]
mod spool;
fn main() {}
