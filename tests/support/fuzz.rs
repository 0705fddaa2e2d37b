//! Fuzzing without a tool: inputs are made from a corpus by mutation, the same ones for the same seed.
//!
//! `FUZZ_SECONDS` is how long each target is tried (3 by default), `FUZZ_SEED` where its numbers begin. What makes a
//! target fail is kept as `target/fuzz/TARGET`; `FUZZ_INPUT=FILE` tries that alone.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long one input may take: thousands of times what any takes, for a machine may be busy.
const SLOWEST: Duration = Duration::from_secs(30);

/// What the process may take in all, in KiB.
const MEMORY: u64 = 3 << 20;

/// Numbers that look like nothing (xorshift64: Marsaglia, 2003).
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound.max(1) as u64).expect("a small number")
    }

    /// One of these.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }

    /// The bytes in pieces of up to this length.
    pub fn pieces<'b>(&mut self, mut bytes: &'b [u8], longest: usize) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((1 + self.below(longest)).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

/// What is fuzzed, and with what.
pub struct Target<'t> {
    /// Its name.
    pub name: &'t str,
    /// What is mutated.
    pub corpus: Vec<Vec<u8>>,
    /// Words that matter to it.
    pub words: &'t [&'t str],
    /// The largest input, in bytes.
    pub largest: usize,
}

impl Target<'_> {
    /// Tries inputs until the time is over. `check` panics where an input does what it should not.
    pub fn run(&self, mut check: impl FnMut(&[u8], &mut Random)) {
        let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
        let seed = number("FUZZ_SEED").unwrap_or(1);
        let mut random = Random::new(seed);
        if let Some(input) = std::env::var_os("FUZZ_INPUT") {
            return check(&fs::read(input).expect("the input"), &mut random);
        }
        let until = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(3));
        let mut tried = 0;
        while tried < self.corpus.len() || Instant::now() < until {
            let input = if tried < self.corpus.len() { self.corpus[tried].clone() } else { self.mutated(&mut random) };
            let began = Instant::now();
            let done = catch_unwind(AssertUnwindSafe(|| check(&input, &mut random)));
            let slow = began.elapsed() > SLOWEST;
            if done.is_err() || slow {
                let kept = self.keep(&input);
                eprintln!("{} fails at input {tried} of seed {seed}, which is {}", self.name, kept.display());
            }
            done.unwrap_or_else(|panic| resume_unwind(panic));
            assert!(!slow, "{} bytes took {:?}", input.len(), began.elapsed());
            tried += 1;
            // Of the corpus alone a busy machine may not have done all in time.
            if tried >= self.corpus.len() && Instant::now() >= until {
                break;
            }
        }
        eprintln!("{}: {tried} inputs of seed {seed}", self.name);
        assert!(peak_memory("self") < MEMORY, "{} KiB of memory", peak_memory("self"));
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let mut input = random.pick(&self.corpus).clone();
        for _ in 0..=random.below(6) {
            let at = random.below(input.len() + 1);
            let most = 1 + random.below(200);
            let to = at + random.below((input.len() - at).min(most) + 1);
            match random.below(9) {
                0 if at < input.len() => input[at] ^= 1 << random.below(8),
                1 => drop(input.drain(at..to)),
                2 => {
                    let bytes: Vec<u8> = (0..random.below(20)).map(|_| random.number().to_le_bytes()[0]).collect();
                    drop(input.splice(at..to, bytes));
                }
                3 => {
                    let copies = 1 << random.below(10);
                    let part = input[at..to].repeat(copies.min(self.largest / (to - at).max(1)));
                    drop(input.splice(at..at, part));
                }
                4 | 5 if !self.words.is_empty() => {
                    let word = random.pick(self.words).as_bytes().to_vec();
                    drop(input.splice(at..at, word));
                }
                6 => {
                    let other = random.pick(&self.corpus);
                    let from = random.below(other.len() + 1);
                    let end = from + random.below(other.len() - from + 1);
                    drop(input.splice(at..to, other[from..end].iter().copied()));
                }
                7 => input.truncate(at),
                _ => {
                    let digits = random.number().to_string();
                    drop(input.splice(at..to.min(at + 4), digits.into_bytes()));
                }
            }
            input.truncate(self.largest);
        }
        input
    }

    fn keep(&self, input: &[u8]) -> PathBuf {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
        fs::create_dir_all(&directory).expect("target/fuzz");
        let path = directory.join(self.name);
        fs::write(&path, input).expect("the input");
        path
    }
}

/// The most memory that a process took, in KiB: `VmHWM` (proc(5)).
pub fn peak_memory(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The files of a folder of `fixtures`, the shortest ones first.
pub fn fixtures(folder: &str, most: usize) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(folder);
    let files = fs::read_dir(folder).expect("the fixtures").map(|file| file.expect("a file").path());
    let mut files: Vec<_> =
        files.filter(|path| path.is_file()).map(|path| (fs::read(&path).expect("a file"), path)).collect();
    files.sort_by_key(|(content, path)| (content.len(), path.clone()));
    files.into_iter().take(most).map(|(content, _)| content).collect()
}
