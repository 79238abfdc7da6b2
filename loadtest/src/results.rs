//! Values of all rounds, and what follows from them: medians, and medians of ratios within a round.

use serde::Deserialize;
use serde::Serialize;

/// One value of one sample.
#[derive(Clone, Debug)]
pub struct Measure {
    pub title: &'static str,
    pub unit: Unit,
    pub role: Role,
    pub value: f64,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Count,
    Kib,
    Mib,
    Milliseconds,
    Microseconds,
    PerCent,
    PerSecond,
    Seconds,
    SecondsPerGb,
}

/// What a value is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A row of the table, with ratios; lower is better.
    Cost,
    /// A row of the table, without ratios.
    Fact,
    /// Only in JSON: how far to trust the rest.
    Detail,
}

impl Measure {
    pub fn cost(title: &'static str, unit: Unit, value: f64) -> Self {
        Self { title, unit, role: Role::Cost, value }
    }

    pub fn fact(title: &'static str, unit: Unit, value: f64) -> Self {
        Self { title, unit, role: Role::Fact, value }
    }

    pub fn detail(title: &'static str, unit: Unit, value: f64) -> Self {
        Self { title, unit, role: Role::Detail, value }
    }
}

/// Everything that was measured, in the order of the scenarios.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Results {
    pub rows: Vec<Row>,
    /// Samples that failed, in words.
    pub failures: Vec<String>,
}

/// One value over all contenders and rounds.
#[derive(Debug, Deserialize, Serialize)]
pub struct Row {
    pub scenario: String,
    pub title: String,
    pub unit: Unit,
    pub role: Role,
    pub columns: Vec<Column>,
}

/// The values of one contender, by round; none where a sample failed.
#[derive(Debug, Deserialize, Serialize)]
pub struct Column {
    pub contender: String,
    pub rounds: Vec<Option<f64>>,
}

impl Results {
    /// Adds the values of a sample.
    pub fn record(&mut self, scenario: &str, contender: &str, round: usize, sample: &[Measure]) {
        for measure in sample {
            self.row(scenario, measure).set(contender, round, measure.value);
        }
    }

    fn row(&mut self, scenario: &str, measure: &Measure) -> &mut Row {
        let found =
            self.rows.iter().position(|row| row.scenario == scenario && row.title == measure.title);
        let position = found.unwrap_or_else(|| {
            self.rows.push(Row {
                scenario: scenario.to_owned(),
                title: measure.title.to_owned(),
                unit: measure.unit,
                role: measure.role,
                columns: Vec::new(),
            });
            self.rows.len() - 1
        });
        &mut self.rows[position]
    }
}

impl Row {
    /// Median over the rounds.
    pub fn median(&self, contender: &str) -> Option<f64> {
        median(self.rounds(contender)?.iter().copied().flatten().collect())
    }

    /// Median of the ratios to the best of `others` in the same round.
    pub fn ratio(&self, contender: &str, others: &[&str]) -> Option<f64> {
        let own = self.rounds(contender)?;
        let ratios = own.iter().enumerate().filter_map(|(round, value)| {
            let best = others
                .iter()
                .filter_map(|other| self.rounds(other)?.get(round).copied().flatten())
                .reduce(f64::min)?;
            let value = (*value)?;
            (best > 0.0).then_some(value / best)
        });
        median(ratios.collect())
    }

    fn rounds(&self, contender: &str) -> Option<&[Option<f64>]> {
        self.columns
            .iter()
            .find(|column| column.contender == contender)
            .map(|column| column.rounds.as_slice())
    }

    fn set(&mut self, contender: &str, round: usize, value: f64) {
        let found = self.columns.iter().position(|column| column.contender == contender);
        let position = found.unwrap_or_else(|| {
            self.columns.push(Column { contender: contender.to_owned(), rounds: Vec::new() });
            self.columns.len() - 1
        });
        let rounds = &mut self.columns[position].rounds;
        if rounds.len() <= round {
            rounds.resize(round + 1, None);
        }
        rounds[round] = Some(value);
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 0 => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_compare_values_of_the_same_round() {
        let mut results = Results::default();
        for (round, (ours, theirs)) in
            [(10.0, 20.0), (30.0, 30.0), (5.0, 20.0)].into_iter().enumerate()
        {
            results.record("s", "a", round, &[Measure::cost("t", Unit::Count, ours)]);
            results.record("s", "b", round, &[Measure::cost("t", Unit::Count, theirs)]);
        }
        let row = &results.rows[0];
        assert_eq!(row.median("a"), Some(10.0));
        assert_eq!(row.ratio("a", &["b"]), Some(0.5));
    }

    #[test]
    fn a_failed_sample_leaves_a_hole_and_not_a_shift() {
        let mut results = Results::default();
        results.record("s", "a", 1, &[Measure::cost("t", Unit::Count, 4.0)]);
        results.record("s", "b", 0, &[Measure::cost("t", Unit::Count, 9.0)]);
        results.record("s", "b", 1, &[Measure::cost("t", Unit::Count, 2.0)]);
        assert_eq!(results.rows[0].ratio("a", &["b"]), Some(2.0));
    }
}
