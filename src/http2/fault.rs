//! What a client of HTTP/2 can do to have its connection ended: one closed set of words.

use crate::http2::code::Code;

/// Why a connection was ended before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The compression of fields is broken (RFC 7541).
    Compression,
    /// Too many CONTINUATION frames (CVE-2024-27316).
    Continuations,
    /// Too many pieces of bodies with hardly anything in them.
    Data,
    /// Too many streams that had to be reset or refused by us (CVE-2025-8671).
    Errors,
    /// More was sent than there was room for.
    FlowControl,
    /// A frame is too long, or has not the length that its kind has.
    FrameSize,
    /// Half a preface, frame or block of fields, and nothing more.
    HeadTimeout,
    /// A block of fields beyond any reason (CVE-2016-6581).
    HeadTooLarge,
    /// Too many PING frames.
    Pings,
    /// What does not begin as HTTP/2 does (RFC 9113, section 3.4).
    Preface,
    /// Too many PRIORITY frames.
    Priorities,
    /// Any other breach of RFC 9113.
    Protocol,
    /// Too many RST_STREAM frames (CVE-2023-44487).
    Resets,
    /// Too many SETTINGS frames.
    Settings,
    /// Too many frames of kinds that HTTP/2 does not know.
    Unknown,
    /// Too many WINDOW_UPDATE frames.
    Windows,
    /// The client took nothing of what was written.
    WriteTimeout,
}

impl Fault {
    /// One stable word: metric label and log field.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Compression => "http2_compression_error",
            Self::Continuations => "http2_continuation_flood",
            Self::Data => "http2_data_flood",
            Self::Errors => "http2_error_flood",
            Self::FlowControl => "http2_flow_control_error",
            Self::FrameSize => "http2_frame_size_error",
            Self::HeadTimeout => "request_head_timeout",
            Self::HeadTooLarge => "request_head_too_large",
            Self::Pings => "http2_ping_flood",
            Self::Preface => "http2_bad_preface",
            Self::Priorities => "http2_priority_flood",
            Self::Protocol => "http2_protocol_error",
            Self::Resets => "http2_reset_flood",
            Self::Settings => "http2_settings_flood",
            Self::Unknown => "http2_unknown_flood",
            Self::Windows => "http2_window_flood",
            Self::WriteTimeout => "client_write_timeout",
        }
    }

    /// What a GOAWAY says of it.
    pub fn code(self) -> Code {
        match self {
            Self::Compression => Code::COMPRESSION_ERROR,
            Self::FlowControl => Code::FLOW_CONTROL_ERROR,
            Self::FrameSize => Code::FRAME_SIZE_ERROR,
            Self::Preface | Self::Protocol => Code::PROTOCOL_ERROR,
            // What was begun was not looked at: it may be sent again.
            Self::HeadTimeout | Self::WriteTimeout => Code::NO_ERROR,
            Self::Continuations
            | Self::Data
            | Self::Errors
            | Self::HeadTooLarge
            | Self::Pings
            | Self::Priorities
            | Self::Resets
            | Self::Settings
            | Self::Unknown
            | Self::Windows => Code::ENHANCE_YOUR_CALM,
        }
    }
}
