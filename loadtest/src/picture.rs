//! The CPU costs of a report as a picture: a bar for each proxy and scenario, relative to nginx.
//!
//! It brings its own background, so that it can be read on a light page and on a dark one.

use std::fmt::Write;

use anyhow::Result;

use crate::report::REFERENCE;
use crate::report::Report;
use crate::report::written;
use crate::results::Role;
use crate::results::Row;
use crate::results::Unit;
use crate::setting::Participant;

/// The picture as SVG. Scenarios without nginx are not in it.
pub fn svg(report: &Report) -> Result<String> {
    let setting = &report.setting;
    let compared: Vec<&Participant> =
        setting.contenders.iter().filter(|contender| contender.name != REFERENCE).collect();
    let groups: Vec<Group<'_>> =
        report.results.rows.iter().filter_map(|row| Group::new(row, &compared)).collect();
    anyhow::ensure!(!groups.is_empty(), "no CPU cost was compared with that of {REFERENCE}");

    let bottom = TOP + groups.iter().map(Group::height).sum::<u32>();
    let height = bottom + FOOT;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"Helvetica, Arial, sans-serif\" \
         font-size=\"14\" fill=\"{INK}\">\n<title>{TITLE}</title>\n\
         <rect x=\"1\" y=\"1\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"{PAPER}\" \
         stroke=\"{EDGE}\"/>\n\
         <text x=\"24\" y=\"36\" font-size=\"19\" font-weight=\"bold\">{TITLE}</text>\n",
        WIDTH - 2,
        height - 2,
    );
    legend(&mut text, &compared);
    scale(&mut text, bottom);
    let mut top = TOP;
    for group in &groups {
        group.draw(&mut text, top);
        top += group.height();
    }
    line_of_reference(&mut text, bottom);
    let _ = writeln!(
        text,
        "<text x=\"24\" y=\"{}\" font-size=\"13\" fill=\"{PALE_INK}\">{}</text>\n</svg>",
        bottom + 44,
        escaped(&format!(
            "{}; Linux {}; {}, {}; medians of {} rounds of {} s",
            setting.machine,
            setting.kernel,
            setting.date,
            setting.commit,
            setting.rounds,
            setting.seconds
        )),
    );
    Ok(text)
}

/// A scenario, with a bar for each proxy that took part.
struct Group<'a> {
    title: &'a str,
    /// Place among those that are compared, and ratio.
    bars: Vec<(usize, f64)>,
}

impl<'a> Group<'a> {
    /// None where it is no CPU cost, or nginx did not take part.
    fn new(row: &'a Row, compared: &[&Participant]) -> Option<Self> {
        let is_cpu = matches!(row.unit, Unit::Microseconds | Unit::SecondsPerGb);
        if !is_cpu || row.role != Role::Cost {
            return None;
        }
        let bars: Vec<(usize, f64)> = compared
            .iter()
            .enumerate()
            .filter_map(|(place, contender)| {
                Some((place, row.ratio(&contender.name, &[REFERENCE])?))
            })
            .collect();
        (!bars.is_empty()).then_some(Self { title: &row.title, bars })
    }

    fn height(&self) -> u32 {
        self.bars.len() as u32 * BAR + GAP
    }

    fn draw(&self, text: &mut String, top: u32) {
        let middle = top + (self.height() - GAP) / 2;
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 12,
            middle + 5,
            escaped(self.title)
        );
        for (number, (place, ratio)) in self.bars.iter().enumerate() {
            let y = top + number as u32 * BAR;
            let (bar, ink) = colours(*place);
            let width = x(*ratio) - f64::from(LEFT);
            // At the end, it would be crossed by the line of the reference where it matters most.
            let (left, ink) = if width < ROOM { (width + 6.0, INK) } else { (6.0, ink) };
            let _ = writeln!(
                text,
                "<rect x=\"{LEFT}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\" fill=\"{bar}\"/>\
                 <text x=\"{:.1}\" y=\"{}\" font-size=\"13\" fill=\"{ink}\">{}</text>",
                y + 1,
                BAR - 2,
                f64::from(LEFT) + left,
                y + BAR - 4,
                written(*ratio)
            );
        }
    }
}

fn legend(text: &mut String, compared: &[&Participant]) {
    let mut left = 24;
    for (place, contender) in compared.iter().enumerate() {
        let _ = writeln!(
            text,
            "<rect x=\"{left}\" y=\"54\" width=\"14\" height=\"14\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"66\">{}</text>",
            colours(place).0,
            left + 20,
            escaped(&contender.title)
        );
        left += 50 + 9 * contender.title.chars().count();
    }
}

fn scale(text: &mut String, bottom: u32) {
    for step in 0..=4 {
        let ratio = f64::from(step) * 0.5;
        let x = x(ratio);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{EDGE}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" font-size=\"13\" text-anchor=\"middle\" \
             fill=\"{PALE_INK}\">{ratio}</text>",
            TOP - 8,
            bottom + 18
        );
    }
}

/// Over the bars, so that it is seen which of them are shorter.
fn line_of_reference(text: &mut String, bottom: u32) {
    let x = x(1.0);
    let _ = writeln!(
        text,
        "<line x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"{INK}\" \
         stroke-width=\"2\"/>\
         <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{REFERENCE}</text>",
        TOP - 8,
        TOP - 14
    );
}

/// Where a ratio is; what is beyond the scale ends with it, and is written beside it.
fn x(ratio: f64) -> f64 {
    f64::from(LEFT) + ratio.min(MOST) / MOST * f64::from(RIGHT - LEFT)
}

/// Of a bar, and of what is written on it.
fn colours(place: usize) -> (&'static str, &'static str) {
    COLOURS[place % COLOURS.len()]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const TITLE: &str = "CPU time per unit of work, relative to nginx; shorter is better";

const WIDTH: u32 = 960;
/// Where bars begin, and where the longest ends.
const LEFT: u32 = 460;
const RIGHT: u32 = 920;
/// What a number on a bar needs.
const ROOM: f64 = 50.0;
/// Where the first bar is, and what is left below the last.
const TOP: u32 = 116;
const FOOT: u32 = 64;
const BAR: u32 = 18;
const GAP: u32 = 11;
/// The end of the scale.
const MOST: f64 = 2.0;

const PAPER: &str = "#ffffff";
const EDGE: &str = "#d0d7de";
const INK: &str = "#1f2328";
const PALE_INK: &str = "#59636e";
/// Told apart by everybody, and in black and white.
const COLOURS: [(&str, &str); 4] =
    [("#0b62c4", PAPER), ("#e8a33d", INK), ("#2f7d50", PAPER), ("#c9b3e0", INK)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Measure;
    use crate::results::Results;
    use crate::setting::Setting;

    #[test]
    fn costs_in_cpu_time_have_bars_and_nothing_else_has() {
        let mut results = Results::default();
        for (contender, value) in [("portcullis", 1.0), ("nginx", 4.0), ("haproxy", 20.0)] {
            let sample = [
                Measure::cost("A & B", Unit::Microseconds, value),
                Measure::cost("Memory", Unit::Kib, value),
                Measure::fact("Fact", Unit::Microseconds, value),
            ];
            results.record("s", contender, 0, &sample);
        }
        let text = svg(&Report { setting: Setting::example(), results }).unwrap();
        assert!(text.contains("A &amp; B") && text.contains(">0.25<") && text.contains(">5.00<"));
        assert!(!text.contains("Memory") && !text.contains("Fact"));
    }

    #[test]
    fn without_the_reference_there_is_no_picture() {
        let mut results = Results::default();
        results.record("s", "portcullis", 0, &[Measure::cost("A", Unit::Microseconds, 1.0)]);
        assert!(svg(&Report { setting: Setting::example(), results }).is_err());
    }
}
