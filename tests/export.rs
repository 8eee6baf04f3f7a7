// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter against a real S3 server and a faulty one.
