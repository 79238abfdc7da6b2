//! Text to a configuration: it loads, or there is something to say about it that can be shown.

use portcullis::config::Config;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // The one key that reads files while a configuration is read.
    if text.contains("include") || text.contains("\\u") || text.contains("\\U") {
        return;
    }
    match Config::parse_with("fuzz.toml", text, &|_| None) {
        Ok(loaded) => {
            let again = Config::parse_with("fuzz.toml", text, &|_| None);
            let again = again.expect("what loads once loads again");
            assert_eq!(format!("{:?}", loaded.config), format!("{:?}", again.config));
            let _ = loaded.warnings.to_string();
        }
        Err(complaints) => {
            assert!(!complaints.to_string().trim().is_empty(), "refused without a word");
        }
    }
}
