//! What JavaScript wants of the engine's thread.

use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::decode::Batch;
use super::ids::{Handle, Index, KeptId, ScriptsId, Slot, TimerId};
use super::outbox::Locked;
use crate::engine::{Resources, Scripts, SharedValidity, Token, WatchRequest};
use crate::instances::client::port::Ticket;
use crate::instances::redis;

/// What one session wants.
pub enum Command {
    /// An engine over a quorum.
    Open { handle: Handle, config: Config },
    /// That engine is to go once what it was asked is answered.
    Close(Handle),
    /// Requests may name these scripts from now on.
    AddScripts {
        number: ScriptsId,
        scripts: Arc<Scripts>,
    },
    /// No request names them any more.
    RemoveScripts(ScriptsId),
    /// Where a caller's client leads to has changed.
    UpdateClient {
        handle: Handle,
        index: Index,
        update: ClientUpdate,
    },
    /// For how many keys callers' clients have carried scripts out, as rows.
    ClientsApplied(Vec<f64>),
    /// What else a caller's client came back with.
    ClientReplied {
        handle: Handle,
        index: Index,
        ticket: Ticket,
        reply: ClientReply,
    },
    /// JavaScript has come round after a call for a caller's client.
    CameRound { handle: Handle, index: Index },
    /// Requests to be carried out.
    Submit(Batch),
    /// A request that nobody waits for any more.
    Cancel(Slot),
    /// A lock is to be kept.
    Watch {
        handle: Handle,
        scripts: ScriptsId,
        request: Box<WatchRequest>,
        watch: SharedValidity,
    },
    /// A lock is kept no longer; it stays as it is.
    LetGo {
        handle: Handle,
        number: KeptId,
        resources: Resources,
        value: Token,
    },
    /// Whether JavaScript is told each vote as it comes, whoever has asked for it.
    TellVotes(bool),
    /// JavaScript is to be told when so much time has passed.
    Wait { timer: TimerId, span: Duration },
    /// A lock that came too late to be handed over is to be released.
    TakeBack(Box<Locked>),
}

/// What a caller's client came back with.
pub enum ClientReply {
    /// A reply of a kind that no script gives.
    Unexpected(String),
    Failed {
        /// JavaScript's number for the error.
        number: u32,
        /// The first word of the server's error, if it is the server's.
        code: Option<String>,
        message: String,
    },
    /// What a key has.
    Seen {
        value: Option<String>,
        /// In ms.
        ttl: Option<f64>,
    },
}

/// What our own connection beside a caller's client is to be.
pub struct ClientUpdate {
    /// Where to, if there is to be one.
    pub server: Option<Box<redis::Config>>,
    /// Whether the connection there was may still release the locks taken with it.
    pub retain: bool,
}
