// SPDX-License-Identifier: MIT OR Apache-2.0
//! Twins of the enumerations of `ibsr_abi.h`: numbers in `meta`, words everywhere else.

macro_rules! abi_enum {
    ($(#[$meta:meta])* $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $value:literal $text:literal, )* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name { $( $(#[$variant_meta])* $variant = $value, )* }

        impl $name {
            /// From the number in `meta`; `None` for a number this build does not know.
            #[must_use]
            pub const fn from_abi(value: u32) -> Option<Self> {
                match value { $( $value => Some(Self::$variant), )* _ => None }
            }

            /// The word used in segments and on the terminal.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }
        }
    };
}

abi_enum! {
    /// How strongly the maps are bound to the program.
    Evidence {
        /// User space with rights could have written the maps.
        Plain = 0 "plain",
        /// No user space could, since load.
        Frozen = 1 "frozen",
        /// And no other program could.
        Exclusive = 2 "exclusive",
    }
}

abi_enum! {
    /// What makes a source proven: an address that its sender cannot have made up.
    ProofKind {
        /// An established connection of this host.
        Socket = 1 "socket",
        /// A handshake as seen from ingress, which a sender of both its packets can forge.
        Handshake = 2 "handshake",
    }
}

abi_enum! {
    /// How sources are kept.
    Table {
        /// Two LRU hashes of the kernel, proven and unproven.
        Lru = 1 "lru",
        /// One set-associative table, for mapping.
        Sets = 2 "set-assoc",
    }
}

impl Table {
    /// What the loader chooses where the operator does not; why: docs/design.md.
    pub const DEFAULT: Self = Self::Sets;
}

abi_enum! {
    /// Which sensor filled a scope.
    Sensor {
        /// `observe_xdp`.
        Xdp = 1 "xdp",
        /// `observe_cgroup`.
        Cgroup = 2 "cgroup",
    }
}

abi_enum! {
    /// How the XDP program is attached.
    XdpMode {
        /// In the driver.
        Native = 1 "native",
        /// In the core, behind the driver.
        Generic = 2 "generic",
    }
}
