//! Doubles and conformance suites for the traits. Outside semver.
