// SPDX-License-Identifier: MIT OR Apache-2.0
//! The proof that the sensor only passes, and the mutants that it must reject.
