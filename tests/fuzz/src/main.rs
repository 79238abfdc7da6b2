//! The fuzzer's program: `FUZZ_TARGET=NAME portcullis-fuzz DIRECTORY..`. Built by `tests/fuzz/run`.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        Target::named(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name}: no such target"))
    });
    target.run(bytes);
});
