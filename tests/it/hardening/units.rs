//! The units of systemd that come with the product.

use std::fs;
use std::path::Path;

use tokio::process::Command;

use crate::kit::Site;
use crate::kit::command::binary;
use crate::kit::command::installed;
use crate::kit::command::run;

/// OPS-3
#[tokio::test]
async fn systemd_has_no_complaint() {
    if !installed("systemd-analyze") {
        return;
    }
    let site = Site::new();
    let mut command = Command::new("systemd-analyze");
    command.arg("verify");
    for unit in ["portcullis.service", "portcullis.socket"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(unit);
        let text = fs::read_to_string(shipped).unwrap();
        // It looks whether the program is there.
        site.write(unit, text.replace("/usr/bin/portcullis", &binary().display().to_string()));
        command.arg(site.path(unit));
    }
    let verified = run(command, "").await;
    assert_eq!((verified.code, &*verified.text()), (0, ""));
}
