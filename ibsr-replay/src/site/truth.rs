// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is true of every source of a site.

use std::collections::BTreeMap;

use ibsr_proto::addr::SourceAddr;

use super::class::Class;
use super::spec::SiteSpec;

impl SiteSpec {
    /// Every source that the site has on any day, and who it is. Where an attacker shares
    /// an address with honest clients, the attacker's class stands.
    #[must_use]
    pub fn truth(&self) -> BTreeMap<SourceAddr, Class> {
        let mut truth = BTreeMap::new();
        for day in 0..self.days {
            for actor in self.actors(day) {
                for src in actor.sources() {
                    let class = truth.entry(src).or_insert(actor.class);
                    if actor.class.is_attack() {
                        *class = actor.class;
                    }
                }
            }
        }
        truth
    }
}
