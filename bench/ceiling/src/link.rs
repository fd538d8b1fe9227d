//! One connection: what must be written to it, and what it has answered.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use mio::{Interest, Registry, Token};

use crate::commands;
use crate::replies::{self, Body};

const ROOM: usize = 256 * 1024;

pub struct Link {
    stream: mio::net::TcpStream,
    /// What the kernel did not take at once.
    rest: Vec<u8>,
    written: usize,
    /// The replies to look at are `input[from..to]`.
    input: Box<[u8]>,
    from: usize,
    to: usize,
}

impl Link {
    /// Connected, with the scripts loaded; their digests.
    pub fn connect(server: SocketAddr, scripts: &[&str]) -> io::Result<(Self, Vec<Vec<u8>>)> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        let digests = scripts
            .iter()
            .map(|script| load(&mut stream, script))
            .collect::<Result<_, _>>()?;
        stream.set_nonblocking(true)?;
        let link = Self {
            stream: mio::net::TcpStream::from_std(stream),
            rest: Vec::new(),
            written: 0,
            input: vec![0; ROOM].into_boxed_slice(),
            from: 0,
            to: 0,
        };
        Ok((link, digests))
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(
            &mut self.stream,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    /// Writes `bytes`, behind what is still to be written.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(bytes);
            return Ok(());
        }
        let taken = take(&mut self.stream, bytes)?;
        self.rest.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// Goes on with what is still to be written.
    pub fn write_rest(&mut self) -> io::Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        self.written += take(&mut self.stream, &self.rest[self.written..])?;
        if self.written == self.rest.len() {
            self.rest.clear();
            self.written = 0;
        }
        Ok(())
    }

    /// Reads once. Whether there may be more: then it must be called again, since nothing else would tell.
    pub fn read(&mut self) -> io::Result<bool> {
        if self.from > 0 {
            self.input.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        match self.stream.read(&mut self.input[self.to..]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.to += count;
                // A stream that gave less than there was room for is empty.
                Ok(self.to == self.input.len())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next reply of those that were read.
    pub fn reply(&mut self) -> Option<Body<'_>> {
        let reply = replies::first(&self.input[self.from..self.to])?;
        self.from += reply.length;
        Some(reply.body)
    }
}

/// As much as the kernel takes.
fn take(stream: &mut mio::net::TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

fn load(stream: &mut TcpStream, script: &str) -> io::Result<Vec<u8>> {
    stream.write_all(&commands::load_script(script))?;
    let mut said = Vec::new();
    loop {
        let mut piece = [0; 256];
        let count = stream.read(&mut piece)?;
        said.extend_from_slice(&piece[..count]);
        match replies::first(&said).map(|reply| reply.body) {
            Some(Body::Text(digest)) => return Ok(digest.to_vec()),
            None if count > 0 => {}
            _ => {
                return Err(io::Error::other(format!(
                    "SCRIPT LOAD: {}",
                    String::from_utf8_lossy(&said)
                )));
            }
        }
    }
}
