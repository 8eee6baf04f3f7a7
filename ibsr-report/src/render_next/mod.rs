// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report for people and programs. Each renderer is a pure function of the model.
