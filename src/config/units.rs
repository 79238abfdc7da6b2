//! Durations and sizes as people write them: `"10s"`, `"500ms"`, `"32KiB"`.

use std::fmt;
use std::time::Duration;

/// Reads `"500ms"`, `"10s"`, `"5m"`, `"12h"` or `"1d"`; None where it is none of these.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Reads `"32768"`, `"32KiB"`, `"1MiB"` or `"1GiB"` as bytes; None where it is none of these.
pub fn parse_size(text: &str) -> Option<usize> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "" | "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => GIB,
        _ => return None,
    };
    number.checked_mul(bytes).and_then(|bytes| usize::try_from(bytes).ok())
}

/// What to write for `"10MB"` or `"10m"`.
pub fn size_help(text: &str) -> Option<String> {
    let (number, unit) = split(text)?;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" | "ki" => "KiB",
        "m" | "mb" | "mib" | "mi" => "MiB",
        "g" | "gb" | "gib" | "gi" => "GiB",
        _ => return None,
    };
    Some(format!("write \"{number}{unit}\""))
}

/// Writes a duration as it would be read.
pub struct DurationText(
    /// What to write.
    pub Duration,
);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        if milliseconds == 0 {
            return f.write_str("0s");
        }
        for (unit, name) in [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")] {
            if milliseconds >= u128::from(unit) && milliseconds.is_multiple_of(u128::from(unit)) {
                return write!(f, "{}{name}", milliseconds / u128::from(unit));
            }
        }
        write!(f, "{milliseconds}ms")
    }
}

/// Writes a size as it would be read.
pub struct SizeText(
    /// Bytes.
    pub u64,
);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// A whole number and the letters behind it, with or without a space between them.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("10 s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("12h"), Some(Duration::from_secs(43_200)));
        for wrong in ["10", "s", "", "-1s", "1.5s", "10 sec", "99999999999999999999s", "é"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_a_number_and_perhaps_a_unit() {
        assert_eq!(parse_size("32768"), Some(32_768));
        assert_eq!(parse_size("32KiB"), Some(32_768));
        assert_eq!(parse_size("1MiB"), Some(1 << 20));
        for wrong in ["KiB", "1.5MiB", "32k", "32KB", "18446744073709551615GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn units_print_as_they_are_read() {
        for text in ["500ms", "90s", "15m", "12h", "2d"] {
            let duration = parse_duration(text).expect("a duration");
            assert_eq!(DurationText(duration).to_string(), text);
        }
        for text in ["1500", "32KiB", "1MiB"] {
            let size = parse_size(text).expect("a size") as u64;
            assert_eq!(SizeText(size).to_string(), text);
        }
    }
}
