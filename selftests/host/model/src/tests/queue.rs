// SPDX-License-Identifier: GPL-2.0

//! `src/batch.rs` with those who use it, `src/send.rs`, `src/receive.rs` and `src/lane.rs`: each packet
//! comes out once, in order, by one at a time, and none stays in a queue.

use super::explore;
use crate::batch::CROWDED_PACKETS;
use crate::cpu::{self, SoftirqsDisabled};
use crate::crypto::Secret;
use crate::device::{Device, Indices};
use crate::engine::Engine;
use crate::gfp::Gfp;
use crate::keypair::Keypair;
use crate::lane::Lane;
use crate::net::{device::NetDevice, napi::NapiSet, skb::SkBuff, skb_list::SkbList};
use crate::noise::SessionKeys;
use crate::peer::{Peer, Seen};
use crate::rcu::{wait_for_all, RcuArc, RcuSlot};
use crate::{receive, send};
use loom::thread;
use std::sync::atomic::Ordering;

/// How many CPUs packets come from.
const SOURCES: usize = 2;

/// CPUs, each of which works on what is queued for it; and a peer with a session.
struct World {
    device: RcuArc<Device>,
    peer: RcuArc<Peer>,
    workers: Vec<thread::JoinHandle<()>>,
}

impl World {
    fn new(cpus: usize) -> Self {
        let (world, keypair) = Self::without_session(cpus);
        world.peer.keypairs.install(keypair);
        world
    }

    /// A peer that waits for a session, and the session.
    fn without_session(cpus: usize) -> (Self, RcuArc<Keypair>) {
        cpu::set_online(cpus);
        let engine = Engine::new().unwrap();
        let device = RcuArc::new(Device {
            netdev: NetDevice,
            indices: Indices,
            lanes: NapiSet::new(cpus, || Lane::new(engine.clone())),
            peer: RcuSlot::empty(),
            session: RcuSlot::empty(),
            engine,
        });
        let device = device.ok().unwrap();
        let peer = Peer::new(device.clone()).unwrap();
        let keys = SessionKeys {
            sending: Secret,
            receiving: Secret,
            remote_index: 7,
            we_initiated: true,
        };
        let keypair = RcuArc::pin_init(Keypair::new(peer.clone(), keys, 7), Gfp::Kernel).unwrap();
        device.session.swap(Some(keypair.clone()));
        device.peer.swap(Some(peer.clone()));
        let work = |cpu| {
            let device = device.clone();
            thread::spawn(move || device.engine.crypt().work(cpu))
        };
        let world = Self {
            workers: (0..cpus as u32).map(work).collect(),
            device,
            peer,
        };
        (world, keypair)
    }

    /// Has each CPU hand in packets, by softirqs of its own.
    fn run<P: 'static>(
        &self,
        packets: [Vec<P>; SOURCES],
        hand_in: impl Fn(&Device, u8, u8, P) + Clone + Send + 'static,
    ) where
        Vec<P>: Send,
    {
        let [first, second] = packets;
        let on = |cpu: u8, packets: Vec<P>| {
            let (device, hand_in) = (self.device.clone(), hand_in.clone());
            move || {
                kernel::cpu::move_to(cpu.into());
                for (number, packet) in (0..).zip(packets) {
                    let softirqs = SoftirqsDisabled::new();
                    hand_in(&device, cpu, number, packet);
                    drop(softirqs);
                }
            }
        };
        let other = (!second.is_empty()).then(|| thread::spawn(on(1, second)));
        on(0, first)();
        if let Some(other) = other {
            other.join().unwrap();
        }
    }

    /// Waits until nobody has anything to do, and takes all apart.
    fn end(self) -> (Vec<Seen>, Vec<Seen>) {
        self.device.engine.crypt().end();
        for worker in self.workers {
            worker.join().unwrap();
        }
        // SAFETY: loom has checked that nobody else looks.
        let sent = self
            .peer
            .wire
            .with_mut(|seen| core::mem::take(unsafe { &mut *seen }));
        let received = self.device.lanes.received();
        // Nothing is in a queue, nobody thinks to be its owner, and no CPU is thought to be busy.
        assert!(self.peer.outgoing.is_idle(), "the queue is not idle");
        let cpus = cpu::online_count();
        for lane in (0..cpus).filter_map(|lane| self.device.lanes.get(lane)) {
            assert!(lane.incoming.is_idle(), "a lane is not idle");
        }
        assert_eq!(
            self.peer.lane.enter(5, 1),
            5,
            "datagrams are counted in a lane"
        );
        let idle: Vec<_> = core::iter::from_fn(|| self.device.engine.claim_idle_cpu()).collect();
        assert_eq!(idle, (1..cpus as u32).collect::<Vec<_>>());
        self.peer.keypairs.clear();
        self.device.session.swap(None);
        self.device.peer.swap(None);
        drop((self.device, self.peer));
        wait_for_all();
        (sent, received)
    }
}

/// All packets are there, once, and those of each CPU in the order in which it handed them in.
fn assert_in_order(seen: Vec<(u8, u8)>, counts: [usize; SOURCES]) {
    for (cpu, count) in (0..).zip(counts) {
        let of_cpu: Vec<_> = seen.iter().filter(|(of, _)| *of == cpu).collect();
        let numbers: Vec<_> = of_cpu
            .iter()
            .map(|(_, number)| usize::from(*number))
            .collect();
        assert_eq!(
            numbers,
            (0..count).collect::<Vec<_>>(),
            "those of CPU {cpu}"
        );
    }
}

use Step::{SendDone, SendStaged};

/// What a CPU does for a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Sends a packet of so many bytes, which the stack counts as so many.
    Transmit(usize, usize),
    /// Sends one that has waited for the session, so that no work item will look at it.
    SendStaged,
    /// Sends what others have encrypted.
    SendDone,
}

/// A packet that is sent where it is.
const SMALL: Step = Step::Transmit(20, 1);
/// One that another CPU encrypts, if it has nothing else to do.
const LARGE: Step = Step::Transmit(5000, 1);
/// One after which the peer is busy, and packets are collected for a moment.
const MANY: Step = Step::Transmit(20, 40);

fn transmit(device: &Device, cpu: u8, number: u8, step: Step) {
    let guard = crate::rcu::read_lock();
    let peer = device.peer.get(&guard).unwrap().upgrade().unwrap();
    drop(guard);
    let bytes = |len| {
        let mut bytes = vec![0; len];
        bytes[..2].copy_from_slice(&[cpu, number]);
        bytes
    };
    match step {
        Step::Transmit(len, parts) => {
            let packet = SkBuff::of_bytes(bytes(len), parts);
            send::transmit(peer.device.borrow(), packet).unwrap();
        }
        Step::SendStaged => {
            let mut packets = SkbList::new();
            packets.push_back(SkBuff::of_bytes(bytes(20), 1));
            peer.stage(&mut packets);
            send::send_staged(&peer);
        }
        Step::SendDone => send::send_at_home(&peer, true),
    }
}

/// What was sent is all of it, numbered as it was sent, and in order.
fn assert_sent(sent: &[Seen], counts: [usize; SOURCES]) {
    let counters: Vec<_> = sent.iter().map(|(_, message)| message[8]).collect();
    let all = (0..sent.len() as u8).collect::<Vec<_>>();
    assert_eq!(counters, all, "not numbered as they are sent");
    let packets = sent.iter().map(|(_, message)| (message[16], message[17]));
    assert_in_order(packets.collect(), counts);
}

fn send_all(preemptions: usize, packets: [Vec<Step>; SOURCES]) {
    send_through(256, preemptions, packets);
}

/// Through a queue that another CPU takes over when it holds more packets than `crowded`.
fn send_through(crowded: i64, preemptions: usize, packets: [Vec<Step>; SOURCES]) {
    let counts = [&packets[0], &packets[1]].map(|steps| {
        let packets = steps.iter().filter(|step| **step != SendDone);
        packets.count()
    });
    explore(preemptions, move || {
        CROWDED_PACKETS.store(crowded, Ordering::Relaxed);
        let world = World::new(2);
        world.run(packets.clone(), transmit);
        let (sent, _) = world.end();
        assert_sent(&sent, counts);
    });
}

#[test]
fn small_packets_of_two_cpus() {
    send_all(1, [vec![SMALL], vec![SMALL]]);
}

#[test]
fn large_packets_that_another_cpu_encrypts() {
    send_all(2, [vec![LARGE, LARGE], vec![]]);
}

#[test]
fn a_large_packet_and_a_small_one() {
    send_all(2, [vec![LARGE, SMALL], vec![]]);
}

#[test]
fn packets_that_are_collected() {
    send_all(2, [vec![MANY, SMALL], vec![]]);
}

#[test]
fn a_large_packet_here_and_a_small_one_there() {
    send_all(1, [vec![LARGE], vec![SMALL]]);
}

#[test]
fn collected_here_and_small_there() {
    send_all(0, [vec![MANY], vec![SMALL]]);
}

/// One CPU takes out of the queue what is done, another comes with what nobody else will look at.
#[test]
fn a_look_at_what_is_done_and_a_staged_packet() {
    send_all(2, [vec![SendDone], vec![SendStaged]]);
}

#[test]
fn a_large_packet_here_and_a_staged_one_there() {
    send_all(1, [vec![LARGE], vec![SendStaged]]);
}

#[test]
fn a_crowded_queue_moves() {
    send_through(0, 2, [vec![SendDone], vec![SendStaged]]);
    send_through(1, 1, [vec![SMALL], vec![SMALL, SendStaged]]);
}

/// What waits for the session is sent before what comes when it is there.
#[test]
fn a_session_comes_while_packets_do() {
    explore(2, || {
        let (world, keypair) = World::without_session(2);
        let peer = world.peer.clone();
        let other = thread::spawn(move || {
            kernel::cpu::move_to(1);
            peer.keypairs.install(keypair);
            peer.send_staged_packets();
        });
        world.run([vec![SMALL, SMALL], vec![]], transmit);
        other.join().unwrap();
        let (sent, _) = world.end();
        assert_sent(&sent, [2, 0]);
    });
}

/// The peer's addresses that datagrams come from, at one time: another address is another batch.
type Burst = &'static [usize];

fn receive_all(preemptions: usize, cpus: usize, bursts: [Vec<Burst>; SOURCES]) {
    let counts = [bursts[0].concat().len(), bursts[1].concat().len()];
    explore(preemptions, move || {
        let world = World::new(cpus);
        // With the numbers of their datagrams.
        let numbered = bursts.clone().map(|bursts| {
            let mut numbers = 0u8..;
            let number = |burst: Burst| burst.iter().copied().zip(&mut numbers).collect();
            bursts.into_iter().map(number).collect::<Vec<Vec<_>>>()
        });
        world.run(numbered, |device, cpu, _, burst| {
            let guard = crate::rcu::read_lock();
            let device = device.peer.get(&guard).unwrap().device.clone();
            drop(guard);
            for (from, number) in burst {
                let mut message = vec![0; 16 + 32 + 16];
                message[0] = 4;
                message[8..10].copy_from_slice(&[number, cpu]);
                // An IPv4 packet of 22 bytes.
                message[16] = 0x45;
                message[16 + 3] = 22;
                message[16 + 20..][..2].copy_from_slice(&[cpu, number]);
                receive::datagram(device.borrow(), SkBuff::of_bytes(message, from));
            }
        });
        let (_, received) = world.end();
        let packets = received.iter().map(|(_, packet)| (packet[20], packet[21]));
        assert_in_order(packets.collect(), counts);
    });
}

#[test]
fn datagrams_that_come_in_on_two_cpus() {
    receive_all(1, 2, [vec![&[1]], vec![&[1]]]);
}

#[test]
fn datagrams_that_another_cpu_decrypts() {
    receive_all(1, 2, [vec![&[1], &[2]], vec![&[3]]]);
}

#[test]
fn datagrams_that_several_other_cpus_decrypt() {
    receive_all(1, 3, [vec![&[1, 2, 3]], vec![]]);
}
