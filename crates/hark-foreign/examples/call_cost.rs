//! Prints what a call costs: `cargo run --release -p hark-foreign --example call_cost`.

use std::process::ExitCode;
use std::time::Instant;

use hark_foreign::{Call, PicklePlace, PythonConfig, PythonPool};
use hark_machine::Value;

const CALLS: u32 = 10_000;

fn main() -> ExitCode {
    if let Some(status) = hark_foreign::guard::run_if_asked() {
        return status;
    }
    let begin = Instant::now();
    let pool = PythonPool::new(PythonConfig {
        interpreter: None,
        project: ".".into(),
        python_src: "src".into(),
        requirements: "requirements.txt".into(),
        pickles: PicklePlace::Temporary,
        workers: 1,
        guard: hark_foreign::guard::own_program(),
        warn: |_| (),
    });
    let mut call = call("abs", Value::Integer(-1));
    make(&pool, &call);
    println!("start and first call: {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    let warm = Instant::now();
    for number in 0..CALLS {
        call.arguments = vec![Value::Integer(-i64::from(number))];
        make(&pool, &call);
    }
    let warm = warm.elapsed();
    println!("warm call:            {:.1} us", warm.as_secs_f64() * 1e6 / f64::from(CALLS));
    println!("{CALLS} calls in all:   {:.2} s", begin.elapsed().as_secs_f64());
    measure(&pool, "10 MB string", "str", Value::string("x".repeat(10_000_000)));
    measure(&pool, "1,000,000 integers", "list", Value::list((0..1_000_000).map(Value::Integer).collect()));
    let mixed = (0..1_000_000).map(|index| if index % 2 == 0 { Value::Integer(index) } else { Value::string("odd") });
    measure(&pool, "1,000,000 mixed", "list", Value::list(mixed.collect()));
    ExitCode::SUCCESS
}

fn call(function: &str, argument: Value) -> Call {
    Call {
        module: "builtins".into(),
        function: function.into(),
        name: function.into(),
        takes_keywords: false,
        arguments: vec![argument],
        progress: None,
        id: "0190-session/0/1".into(),
        attempt: 1,
        timeout: None,
        ends_with_process: false,
        priority: 0,
        rate: None,
        unwanted: Default::default(),
    }
}

fn make(pool: &PythonPool, call: &Call) {
    if let Err(error) = pool.call_blocking(call, &mut |event| print!("{event:?}")) {
        eprintln!("{error:?}");
        std::process::exit(1);
    }
}

fn measure(pool: &PythonPool, what: &str, function: &str, argument: Value) {
    let call = call(function, argument);
    let begin = Instant::now();
    make(pool, &call);
    println!("round trip, {what}: {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
}
