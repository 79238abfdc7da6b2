//! What a client of HTTP/2 can do to have its connection ended: one closed set of words.

/// Why a connection was ended before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Too much of something that h2 does not tell apart.
    Calm,
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
            Self::Calm => "http2_flood",
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

    /// What a GOAWAY of h2 is about: its code, and its words where h2 has several floods under one code.
    /// None for one that is no complaint.
    pub fn told(code: u32, words: &[u8]) -> Option<Self> {
        Some(match code {
            0 => return None,
            FLOW_CONTROL_ERROR => Self::FlowControl,
            FRAME_SIZE_ERROR => Self::FrameSize,
            COMPRESSION_ERROR => Self::Compression,
            ENHANCE_YOUR_CALM => match words {
                b"too_many_con" => Self::Continuations,
                b"too_many_dat" => Self::Data,
                b"too_many_int" => Self::Errors,
                b"too_many_res" => Self::Resets,
                b"header_list_" => Self::HeadTooLarge,
                _ => Self::Calm,
            },
            _ => Self::Protocol,
        })
    }
}

const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;
