//! SETTINGS of a client (RFC 9113, section 6.5). Pure.

use crate::http2::fault::Fault;
use crate::http2::frame;
use crate::http2::frame::ACK;
use crate::http2::frame::Head;
use crate::http2::frame::MOST_PAYLOAD;
use crate::http2::reader::Breach;
use crate::http2::state::ENABLE_PUSH;
use crate::http2::state::HEADER_TABLE_SIZE;
use crate::http2::state::INITIAL_WINDOW_SIZE;
use crate::http2::state::MAX_FRAME_SIZE;
use crate::http2::state::MOST_WINDOW;
use crate::http2::state::State;
use crate::http2::state::TABLE;

impl State {
    pub(super) fn settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Breach> {
        if head.stream != 0 {
            return Err(Fault::Protocol.into());
        }
        if head.has(ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(Fault::FrameSize.into()) };
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Fault::FrameSize.into());
        }
        let before = self.stream_window;
        for [i0, i1, v0, v1, v2, v3] in settings {
            let value = u32::from_be_bytes([*v0, *v1, *v2, *v3]);
            self.set(u16::from_be_bytes([*i0, *i1]), value)?;
        }
        // Once, however often it was said: there may be many streams.
        self.move_windows(self.stream_window - before)?;
        frame::settings_ack(self.outbox.frames());
        Ok(())
    }

    fn set(&mut self, setting: u16, value: u32) -> Result<(), Breach> {
        match setting {
            HEADER_TABLE_SIZE => self.is_table_due |= (value as usize) < TABLE,
            ENABLE_PUSH if value > 1 => return Err(Fault::Protocol.into()),
            INITIAL_WINDOW_SIZE if i64::from(value) > MOST_WINDOW => {
                return Err(Fault::FlowControl.into());
            }
            INITIAL_WINDOW_SIZE => self.stream_window = i64::from(value),
            // Frames of ours are never longer than the least of them.
            MAX_FRAME_SIZE if !(MOST_PAYLOAD..1 << 24).contains(&(value as usize)) => {
                return Err(Fault::Protocol.into());
            }
            _ => {}
        }
        Ok(())
    }

    /// Windows of streams change with what new ones begin with, also to less than nothing (section 6.9.2).
    fn move_windows(&mut self, change: i64) -> Result<(), Breach> {
        if change == 0 {
            return Ok(());
        }
        for stream in self.streams.iter().filter(|stream| !stream.is_closed()) {
            let had = stream.outward.window;
            stream.outward.window += change;
            if stream.outward.window > MOST_WINDOW {
                return Err(Fault::FlowControl.into());
            }
            if had <= 0 && stream.outward.window > 0 {
                stream.outward.wake();
            }
        }
        Ok(())
    }
}
