// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers of the guard as words; a number without a word is text too.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::snapshot::cgroup::words::{WordError, text_in_json, words};

words! {
    /// Where something was judged, as [`crate::guard_control::Hook`] numbers it.
    HookName(u8) {
        0 "connect", 1 "sendmsg", 2 "bind", 3 "egress", 4 "ingress", 5 "query",
    }
}

words! {
    /// Who opened, as [`crate::guard_abi::Direction`] numbers it.
    Way(u8) { 0 "out", 1 "in", 2 "bind", }
}

words! {
    /// What a rule says, as [`crate::guard_abi::Action`] numbers it.
    ActionName(u8) { 0 "allow", 1 "deny", 2 "reject", 3 "nxdomain", 4 "sinkhole", }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard_abi::{Action, Direction};
    use crate::guard_control::Hook;

    #[test]
    fn words_are_those_of_the_abi() {
        for hook in Hook::ALL {
            assert_eq!(HookName(hook as u8).to_string(), hook.as_str());
        }
        for direction in Direction::ALL {
            assert_eq!(Way(direction as u8).to_string(), direction.as_str());
        }
        for action in Action::ALL {
            assert_eq!(ActionName(action as u8).to_string(), action.as_str());
        }
        assert_eq!("9".parse(), Ok(HookName(9)));
    }
}
