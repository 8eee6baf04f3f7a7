// SPDX-License-Identifier: MIT OR Apache-2.0
//! A real S3 server on loopback that can be told to fail.
