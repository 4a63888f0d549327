//! `hark bench`

use std::fs;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hark_engine::{Engine, Report, Scope, SessionError, Start, Status};
use hark_machine::Program;

use super::{BROKEN, FINISHED};
use crate::args::Bench;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::output;
use crate::program::Compiled;
use crate::project;
use crate::render::{Lines, Style, draw_error};
use crate::report;
use crate::session::{self, Serving};
use crate::signals::Interruption;
use crate::storage::{self, Kept};

/// Starts sessions of a program, `at_a_time` of them concurrently, and reports how fast they ran.
///
/// # Errors
/// If the program cannot be run, or the storage cannot be opened.
pub fn bench(wanted: &Bench) -> Result<u8, Failure> {
    let mut loaded = project::load(wanted.file.as_deref(), wanted.config.path.as_deref())?;
    storage::check_starts_here(&loaded.project, &wanted.storage)?;
    let executable = Compiled::for_storage(&mut loaded, wanted.storage.asked().name).into_executable()?;
    let Entry { callee, arguments } = Entry::new(&executable, &wanted.call)?;
    let program = Program::new(executable).map_err(|error| Failure::usage(error.to_string()))?;
    let program = Arc::new(program);
    let start = Start::new(program.clone(), callee, arguments);
    let kept = storage::for_new_session(&loaded.project, &wanted.storage)?;
    let invoker = session::invoker(&loaded.project, kept.as_ref(), wanted.invoker, &session::default_pool())?;
    let interruption = Interruption::default();
    let mut serving = Serving::new(
        &loaded.project,
        storage::or_memory(kept.as_ref()),
        invoker,
        true,
        session::options(&loaded.project),
        &interruption,
    )?;
    serving.attend(Scope::Own)?;
    let before = Usage::now(kept.as_ref());
    let begun = Instant::now();
    let ran = run(&serving, &start, wanted);
    let took = begun.elapsed();
    serving.end()?;
    let used = Usage::now(kept.as_ref()).since(&before);
    let figures = Figures::new(&ran, took, used);
    if wanted.json {
        figures.write_json()?
    } else {
        output::write_out(&figures.table())?
    }
    if let Some(failure) = ran.failure {
        return Err(storage::failure(failure));
    }
    if let Some(error) = &ran.error {
        let (mut out, style) = ("the first error:\n".to_owned(), Style::for_stderr());
        let executable = program.executable();
        draw_error(&error.error, executable, &Lines::new(&executable.sources), style, &mut out);
        output::tell(&out);
    }
    if let Some(status) = interruption.exit_status() {
        return Ok(status);
    }
    Ok(if ran.unfinished == 0 { FINISHED } else { BROKEN })
}

/// The combined results of the sessions.
#[derive(Default)]
struct Ran {
    latencies: Vec<Duration>,
    threads: u64,
    unfinished: u64,
    /// The error of the first session that failed.
    error: Option<SessionError>,
    failure: Option<hark_engine::StorageError>,
}

/// The sessions being run.
struct Course {
    engine: Arc<Engine>,
    invoker: Arc<dyn hark_engine::Invoker>,
    start: Start,
    left: AtomicU64,
    under_way: AtomicU64,
    ran: Mutex<Ran>,
    done: AtomicBool,
    interrupted: Arc<AtomicBool>,
}

fn run(serving: &Serving, start: &Start, wanted: &Bench) -> Ran {
    let course = Arc::new(Course {
        engine: serving.engine.clone(),
        invoker: serving.ports.invoker.clone(),
        start: start.clone(),
        left: AtomicU64::new(wanted.sessions),
        under_way: AtomicU64::new(0),
        ran: Mutex::default(),
        done: AtomicBool::new(false),
        interrupted: serving.interrupted.clone(),
    });
    // Held until all first sessions have begun, so that the end of a fast one is not taken for the last.
    course.under_way.fetch_add(1, Ordering::AcqRel);
    (0..wanted.at_a_time.min(wanted.sessions)).for_each(|_| course.begin_one());
    course.end_one();
    serving.ports.invoker.serve(&course.done);
    let mut ran = course.ran.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *ran)
}

impl Course {
    /// Starts the next session, if any is left.
    fn begin_one(self: &Arc<Self>) {
        let next = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_err() {
            return;
        }
        self.under_way.fetch_add(1, Ordering::AcqRel);
        let (course, begun) = (self.clone(), Instant::now());
        if self.interrupted.load(Ordering::Acquire) {
            return self.end_one();
        }
        let submitted = self.engine.submit(self.start.clone(), move |report| {
            course.note(&report, begun.elapsed());
            course.begin_one();
            course.end_one();
        });
        if let Err(error) = submitted {
            self.ran.lock().unwrap_or_else(PoisonError::into_inner).failure.get_or_insert(error);
            self.left.store(0, Ordering::Release);
            self.end_one();
        }
    }

    fn note(&self, report: &Report, latency: Duration) {
        let mut ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        ran.latencies.push(latency);
        ran.threads += report.threads;
        ran.unfinished += u64::from(report.status != Status::Finished);
        ran.error = ran.error.take().or_else(|| report.errors.first().cloned());
    }

    fn end_one(&self) {
        if self.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.store(true, Ordering::Release);
            self.invoker.nudge();
        }
    }
}

/// The resources used by this process, and the CPU time of its workers, as counted by the system.
#[derive(Default)]
struct Usage {
    cpu: f64,
    workers_cpu: f64,
    bytes_written: u64,
    memory_peak: u64,
    /// The requests to the storage: names and counts.
    work: Vec<(&'static str, f64)>,
}

impl Usage {
    fn now(kept: Option<&Kept>) -> Usage {
        let me = process::id();
        let own = CpuSeconds::of(me).unwrap_or_default();
        Usage {
            cpu: own.itself,
            workers_cpu: own.ended_children + workers_of(me),
            bytes_written: number_in("/proc/self/io", "write_bytes:").unwrap_or(0),
            memory_peak: number_in("/proc/self/status", "VmHWM:").unwrap_or(0) * 1024,
            work: kept.map(Kept::work).unwrap_or_default(),
        }
    }

    fn since(self, before: &Usage) -> Usage {
        Usage {
            cpu: self.cpu - before.cpu,
            workers_cpu: self.workers_cpu - before.workers_cpu,
            bytes_written: self.bytes_written - before.bytes_written,
            memory_peak: self.memory_peak,
            work: self.work.iter().zip(&before.work).map(|((name, now), (_, before))| (*name, now - before)).collect(),
        }
    }
}

/// The CPU time of a process: utime and stime, cutime and cstime of proc(5).
#[derive(Default)]
struct CpuSeconds {
    itself: f64,
    ended_children: f64,
}

impl CpuSeconds {
    fn of(process: u32) -> Option<CpuSeconds> {
        /// The unit of the fields. It is the same for all Linux architectures that Hark supports.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(4);
        let fields: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
        let [user, system, children_user, children_system] = fields[..] else { return None };
        Some(CpuSeconds {
            itself: (user + system) / TICKS_PER_SECOND,
            ended_children: (children_user + children_system) / TICKS_PER_SECOND,
        })
    }
}

/// The CPU seconds of this process's running descendants: idle workers stay until the end, so they are not yet counted
/// as ended children.
fn workers_of(process: u32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return 0.0 };
    let children = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> =
        children.flat_map(|list| list.split_whitespace().map(str::parse).collect::<Vec<_>>()).flatten().collect();
    let seconds = |child: u32| CpuSeconds::of(child).map_or(0.0, |cpu| cpu.itself + cpu.ended_children);
    children.into_iter().map(|child| seconds(child) + workers_of(child)).sum()
}

fn number_in(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(Path::new(file)).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The reported figures.
struct Figures {
    sessions: usize,
    unfinished: u64,
    seconds: f64,
    threads: u64,
    p50: Duration,
    p99: Duration,
    used: Usage,
}

impl Figures {
    fn new(ran: &Ran, took: Duration, used: Usage) -> Figures {
        let mut latencies = ran.latencies.clone();
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = ((latencies.len() as f64 * share).ceil() as usize).saturating_sub(1);
            latencies.get(index).copied().unwrap_or_default()
        };
        Figures {
            sessions: latencies.len(),
            unfinished: ran.unfinished,
            seconds: took.as_secs_f64(),
            threads: ran.threads,
            p50: at(0.50),
            p99: at(0.99),
            used,
        }
    }

    fn table(&self) -> String {
        let rate = |count: f64| format!("{:.0}", count / self.seconds);
        let mut rows = vec![
            ("sessions", format!("{}, {} of them unfinished", self.sessions, self.unfinished)),
            ("took", format!("{:.3} s", self.seconds)),
            ("sessions per second", rate(self.sessions as f64)),
            ("threads per second", rate(self.threads as f64)),
        ];
        rows.extend(self.steps().map(|steps| ("steps per second", rate(steps))));
        rows.extend([
            ("latency, p50", format!("{:.3} ms", self.p50.as_secs_f64() * 1e3)),
            ("latency, p99", format!("{:.3} ms", self.p99.as_secs_f64() * 1e3)),
        ]);
        rows.extend(self.used.work.iter().map(|(name, count)| (*name, count.to_string())));
        rows.extend([
            ("bytes written", self.used.bytes_written.to_string()),
            ("CPU", format!("{:.2} s", self.used.cpu)),
            ("CPU of workers", format!("{:.2} s", self.used.workers_cpu)),
            ("peak memory", format!("{:.1} MB", self.used.memory_peak as f64 / 1e6)),
        ]);
        rows.iter().map(|(name, value)| format!("{name:22} {value}\n")).collect()
    }

    /// Each step of a thread is a commit, where these are counted.
    fn steps(&self) -> Option<f64> {
        self.used.work.iter().find(|(name, _)| *name == "commits").map(|(_, count)| *count)
    }

    fn write_json(&self) -> Result<(), Failure> {
        report::write(|json| {
            json.entry_of("sessions", self.sessions)?;
            json.entry_of("unfinished", self.unfinished)?;
            json.entry_of("seconds", self.seconds)?;
            json.entry_of("sessions_per_second", self.sessions as f64 / self.seconds)?;
            json.entry_of("threads_per_second", self.threads as f64 / self.seconds)?;
            if let Some(steps) = self.steps() {
                json.entry_of("steps_per_second", steps / self.seconds)?;
            }
            json.entry_of("latency_p50_seconds", self.p50.as_secs_f64())?;
            json.entry_of("latency_p99_seconds", self.p99.as_secs_f64())?;
            for (name, count) in &self.used.work {
                json.entry_of(&name.replace(' ', "_"), *count)?;
            }
            json.entry_of("bytes_written", self.used.bytes_written)?;
            json.entry_of("cpu_seconds", self.used.cpu)?;
            json.entry_of("workers_cpu_seconds", self.used.workers_cpu)?;
            json.entry_of("memory_peak_bytes", self.used.memory_peak)
        })
    }
}
