//! How `hark` is linked.
//!
//! With glibc it is linked to run at a fixed address. As a position-independent executable it would contain some
//! 25,000 pointers, most of them in the AWS SDK, that the dynamic linker has to relocate, and so pages to copy, before
//! `main` begins: a third of the time of a small program, whether or not it uses DynamoDB.

fn main() {
    let is = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
