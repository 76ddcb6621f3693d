//! Resolution: cases by hand, random facts against a slow and obvious solver, laws.

mod facts;
mod notation;
mod reference;

mod every;
mod groups;
mod incomplete;
mod laws;
mod passed;
mod plain;
mod random;
mod reasons;
mod worst_case;
