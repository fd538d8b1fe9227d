//! Values of callers' own (an overridden `_random`) that may stand on a server.
//!
//! A value that is given a second time would take the first one's key for its
//! own, and its clean-up would delete it. So a quorum refuses a value for a
//! resource for as long as it may hold it there: until the lock's life is over,
//! or every instance has answered both the acquire and the release. What another
//! quorum or process holds with the same value is left alone by not cleaning up
//! where an attempt was refused.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::question::Resources;
use super::token::Token;
use super::validity::{Instant, Ttl};

/// The values in use, of all quorums of a process.
#[derive(Default)]
pub struct Claims {
    in_use: RefCell<BTreeMap<Key, Claim>>,
    /// The last that were given out.
    owner: Cell<Owner>,
    number: Cell<ClaimNumber>,
    /// How many claims there are when those that are over are looked for next.
    sweep_at: Cell<usize>,
    /// Requests that wait for a release that is under way.
    waiting: RefCell<Vec<Waker>>,
}

/// A quorum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner(u64);

/// One claim among all of a process, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClaimNumber(u64);

/// What is claimed.
#[derive(Clone, Copy)]
pub(super) struct Claimed {
    pub(super) number: ClaimNumber,
    /// Until when a key with this value may stand on a server.
    pub(super) until: Instant,
}

type Key = (Box<str>, Token, Owner);

struct Claim {
    number: ClaimNumber,
    since: Instant,
    /// When the last key that has it ends.
    until: Instant,
    /// Whether every instance has answered the acquire, so that nothing of it can
    /// come later.
    acquire_answered: bool,
    /// The same of the last release.
    release_answered: bool,
    /// How many releases of it are under way.
    releases: usize,
}

impl Claims {
    /// One more quorum.
    pub(super) fn owner(&self) -> Owner {
        self.owner.set(Owner(self.owner.get().0 + 1));
        self.owner.get()
    }

    /// Takes the value for these names, for `ttl` from now on; `false` if it is in
    /// use for one of them. A release that is under way is waited for.
    pub(super) async fn take(
        &self,
        owner: Owner,
        resources: &Resources,
        value: &Token,
        ttl: Ttl,
        now: impl Fn() -> Instant,
    ) -> bool {
        let taken = poll_fn(|context| {
            let (mut held, mut releasing) = (false, false);
            let claims = self.in_use.borrow();
            for name in resources.iter() {
                let claim = claims.get(&(name.clone(), value.clone(), owner));
                if let Some(claim) = claim.filter(|claim| now() < claim.until) {
                    held = true;
                    releasing |= claim.releases > 0;
                }
            }
            if !releasing {
                return Poll::Ready(held);
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
        if taken {
            return false;
        }
        self.sweep(now());
        // Its commands may wait somewhere until its validity ends.
        let until = now().after(ttl.span()).after(ttl.span());
        self.number.set(ClaimNumber(self.number.get().0 + 1));
        let mut claims = self.in_use.borrow_mut();
        for name in resources.iter() {
            let claim = Claim {
                number: self.number.get(),
                since: now(),
                until,
                acquire_answered: false,
                release_answered: false,
                releases: 0,
            };
            claims.insert((name.clone(), value.clone(), owner), claim);
        }
        true
    }

    /// Whether the value was taken again after the lock that was asked for at
    /// `since`: what stands with it now is another's.
    pub(super) fn is_taken_since(
        &self,
        owner: Owner,
        resources: &Resources,
        value: &Token,
        since: Instant,
        now: Instant,
    ) -> bool {
        let mut taken = false;
        if since > Instant::ORIGIN {
            self.each(owner, resources, value, |claim| {
                taken |= since < claim.since && now < claim.until;
            });
        }
        taken
    }

    /// The lock may live until then from now on.
    pub(super) fn extend(
        &self,
        owner: Owner,
        resources: &Resources,
        value: &Token,
        until: Instant,
    ) {
        self.each(owner, resources, value, |claim| {
            claim.until = claim.until.max(until);
        });
    }

    /// What the lock's value is claimed for, if it is one of the caller's own.
    #[inline]
    pub(super) fn of(&self, owner: Owner, resources: &Resources, value: &Token) -> Option<Claimed> {
        if self.is_empty() {
            return None;
        }
        let mut claimed: Option<Claimed> = None;
        self.each(owner, resources, value, |claim| {
            let until = claimed.map_or(claim.until, |claimed| claimed.until.max(claim.until));
            let number = claim.number;
            claimed = Some(Claimed { number, until });
        });
        claimed
    }

    /// Whether no caller's own value is in use, as nearly always.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.in_use.borrow().is_empty()
    }

    /// Every instance has answered that claim's acquire.
    pub(super) fn acquired(
        &self,
        owner: Owner,
        resources: &Resources,
        value: &Token,
        number: ClaimNumber,
    ) {
        self.each(owner, resources, value, |claim| {
            claim.acquire_answered |= claim.number == number;
        });
        self.forget_if_over(owner, resources, value);
    }

    /// A release of that claim is under way.
    pub(super) fn releasing(
        &self,
        owner: Owner,
        resources: &Resources,
        value: &Token,
        number: ClaimNumber,
    ) {
        self.each(owner, resources, value, |claim| {
            claim.releases += usize::from(claim.number == number);
        });
    }

    /// A release of that claim is over; `everywhere` if every instance has answered
    /// it.
    pub(super) fn released(
        &self,
        owner: Owner,
        resources: &Resources,
        value: &Token,
        number: ClaimNumber,
        everywhere: bool,
    ) {
        self.each(owner, resources, value, |claim| {
            if claim.number == number {
                claim.releases = claim.releases.saturating_sub(1);
                claim.release_answered = everywhere;
            }
        });
        self.forget_if_over(owner, resources, value);
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Forgets claims of which nothing can be left on any server.
    fn forget_if_over(&self, owner: Owner, resources: &Resources, value: &Token) {
        let mut claims = self.in_use.borrow_mut();
        if claims.is_empty() {
            return;
        }
        for name in resources.iter() {
            let key = (name.clone(), value.clone(), owner);
            if claims.get(&key).is_some_and(Claim::is_over) {
                claims.remove(&key);
            }
        }
    }

    #[cold]
    fn each(
        &self,
        owner: Owner,
        resources: &Resources,
        value: &Token,
        mut change: impl FnMut(&mut Claim),
    ) {
        let mut claims = self.in_use.borrow_mut();
        for name in resources.iter() {
            if let Some(claim) = claims.get_mut(&(name.clone(), value.clone(), owner)) {
                change(claim);
            }
        }
    }

    /// Forgets claims that are over, each time their number has doubled.
    fn sweep(&self, now: Instant) {
        let mut claims = self.in_use.borrow_mut();
        if claims.len() < self.sweep_at.get() {
            return;
        }
        claims.retain(|_, claim| now < claim.until);
        self.sweep_at.set((claims.len() * 2).max(1024));
    }
}

impl Claim {
    fn is_over(&self) -> bool {
        self.acquire_answered && self.release_answered && self.releases == 0
    }
}
