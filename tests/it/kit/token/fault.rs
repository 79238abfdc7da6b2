//! A PKCS#11 module of our own before that of SoftHSM: slow, silent, wrong or absent, and it counts.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Module;
use super::SoftHsm;

/// `tests/token/fault.c`, loaded wherever a test says. Faults hold from the next call on, in every process
/// that has loaded it. Each has a SoftHSM of its own, so that several in a process do not know each other.
pub(crate) struct FaultModule {
    pub(crate) module: Module,
    /// What the module has mapped: reads and writes of the file see the same memory.
    controls: File,
}

impl FaultModule {
    /// Without a fault so far.
    pub(crate) fn before(softhsm: &SoftHsm) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = softhsm.directory.join(format!("fault-{number}.so"));
        let beside = |extension: &str| path.with_extension(format!("so.{extension}"));
        // A library is known by its file: a copy is another one, with other sessions.
        let real = beside("real");
        fs::copy(&softhsm.module.path, &real).expect("a copy of SoftHSM");
        fs::write(beside("target"), real.as_os_str().as_encoded_bytes()).expect("a file");
        let controls = File::create_new(beside("ctl")).expect("a file");
        controls.set_len(SIZE).expect("a file");
        drop(controls);
        let controls = File::options().read(true).write(true).open(beside("ctl")).expect("a file");
        fs::write(&path, library()).expect("a file");
        Self { module: Module { path, ..softhsm.module.clone() }, controls }
    }

    /// Faults and counters are about one token only from now on, not about all.
    pub(crate) fn only(&self, token: &str) {
        self.controls.write_all_at(format!("{token:32}").as_bytes(), ONLY).expect("a file");
    }

    /// Each signature takes this much longer.
    pub(crate) fn latency(&self, latency: Duration) {
        self.set(Field::Latency, latency.as_micros().try_into().expect("a short time"));
    }

    /// Such calls return this result from now on, a `CKR_` of PKCS#11.
    pub(crate) fn fail(&self, call: Call, result: u64) {
        self.set(call.field(), result);
    }

    /// Such calls do what they should again.
    pub(crate) fn mend(&self, call: Call) {
        self.set(call.field(), 0);
    }

    /// Signatures do not return, until it is switched off or half a minute is over.
    pub(crate) fn hang(&self, hangs: bool) {
        self.set(Field::Hang, hangs.into());
    }

    /// There is no token in the slot, and its sessions are dead.
    pub(crate) fn absent(&self, is_absent: bool) {
        self.set(Field::Absent, is_absent.into());
    }

    /// How many signatures were asked for, those that failed among them.
    pub(crate) fn signatures(&self) -> u64 {
        self.get(Field::Signatures)
    }

    /// How many logins were tried.
    pub(crate) fn logins(&self) -> u64 {
        self.get(Field::Logins)
    }

    /// How many sessions were asked for.
    pub(crate) fn sessions(&self) -> u64 {
        self.get(Field::Sessions)
    }

    /// How often the module was initialised.
    pub(crate) fn initialized(&self) -> u64 {
        self.get(Field::Initialized)
    }

    /// How often the module was finalised.
    pub(crate) fn finalized(&self) -> u64 {
        self.get(Field::Finalized)
    }

    /// How many signatures are in progress.
    pub(crate) fn signing(&self) -> u64 {
        self.get(Field::Signing)
    }

    /// How many signatures there ever were in progress at once.
    pub(crate) fn most_at_once(&self) -> u64 {
        self.get(Field::MostAtOnce)
    }

    fn set(&self, field: Field, value: u64) {
        self.controls.write_all_at(&value.to_ne_bytes(), field.offset()).expect("a file");
    }

    fn get(&self, field: Field) -> u64 {
        let mut value = [0; 8];
        self.controls.read_exact_at(&mut value, field.offset()).expect("a file");
        u64::from_ne_bytes(value)
    }
}

/// What can be made to fail.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Sign,
    OpenSession,
    Login,
    SessionInfo,
    TokenInfo,
}

impl Call {
    fn field(self) -> Field {
        match self {
            Self::Sign => Field::FailSign,
            Self::OpenSession => Field::FailOpen,
            Self::Login => Field::FailLogin,
            Self::SessionInfo => Field::FailSessionInfo,
            Self::TokenInfo => Field::FailTokenInfo,
        }
    }
}

/// The integers of `struct controls` in `fault.c`, in its order.
#[derive(Clone, Copy, Debug)]
enum Field {
    Latency,
    FailSign,
    FailOpen,
    FailLogin,
    FailSessionInfo,
    FailTokenInfo,
    Hang,
    Absent,
    Signatures,
    Logins,
    Sessions,
    Initialized,
    Finalized,
    Signing,
    MostAtOnce,
}

impl Field {
    fn offset(self) -> u64 {
        self as u64 * 8
    }
}

/// The compiled module; compiled once.
fn library() -> &'static [u8] {
    static LIBRARY: OnceLock<Vec<u8>> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("fault.so");
        // What links Rust is here: no test is skipped for want of it.
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O2", "-pthread", "-o"]).arg(&file);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/token/fault.c")).arg("-ldl");
        let output = command.output().expect("a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(file).expect("a library")
    })
}

/// Where the label of the only token is: behind the integers.
const ONLY: u64 = (Field::MostAtOnce as u64 + 1) * 8;

/// The size of `struct controls`.
const SIZE: u64 = ONLY + 32;
