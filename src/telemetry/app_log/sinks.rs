//! The sinks of services that are made together.

use std::collections::HashMap;

use crate::config::log::LogTarget;
use crate::telemetry::app_log::AppLog;
use crate::telemetry::app_log::AppLogError;
use crate::telemetry::app_log::LogSink;

/// Services that write to the same log in the same way share a sink, and its file is looked at once: of ten
/// thousand services, most have the log of all.
#[derive(Debug)]
pub struct Sinks<'a> {
    log: &'a AppLog,
    made: HashMap<(&'a LogTarget, u64), LogSink>,
}

impl<'a> Sinks<'a> {
    /// None made yet.
    pub fn new(log: &'a AppLog) -> Self {
        Self { log, made: HashMap::new() }
    }

    /// As [`AppLog::sink`].
    ///
    /// # Errors
    /// As of [`AppLog::sink`], for every service that wants such a sink.
    pub fn sink(&mut self, target: &'a LogTarget, sample: f64) -> Result<LogSink, AppLogError> {
        let key = (target, sample.to_bits());
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        let sink = self.log.sink(target, sample)?;
        self.made.insert(key, sink.clone());
        Ok(sink)
    }
}
