//! Executables that our compiler never produces. Each of these once caused a panic, a loop that used no fuel, or memory
//! exhaustion.

use std::sync::Arc;

use hark_bytecode::{
    Attributes, Executable, Foreign, ForeignIndex, Function, Instruction, Literal, NameIndex, Source, Span,
};
use hark_machine::Program;

use Instruction::{And, Bind, Call, Jump, JumpIf, Pop, PushBinding, PushValue, Return};

const NULL: Instruction = PushValue(Literal::Null);

/// An executable with one function, whose parameters are the first names.
fn executable(parameters: u32, code: Vec<Instruction>) -> Executable {
    let function = Function {
        name: "f".into(),
        parameters: (0..parameters).map(NameIndex).collect(),
        foreign: None,
        start: 0,
        end: code.len() as u32,
        span: Span::default(),
        attributes: Attributes::default(),
        ..Function::default()
    };
    Executable {
        sources: Source::new("test.hk", "").into(),
        names: vec![Arc::from("x"), Arc::from("y")],
        functions: vec![function],
        foreign: Vec::new(),
        bindings: Vec::new(),
        spans: vec![Span::default(); code.len()],
        code,
    }
}

/// An executable whose function wraps an import with this many parameters.
fn wrapper(arity: u32, code: Vec<Instruction>) -> Executable {
    let mut executable = executable(0, code);
    let name: Arc<str> = "x".into();
    let (module, function) = (name.clone(), name.clone());
    executable.foreign.push(Foreign { name, module, function, arity, attributes: Attributes::default() });
    executable.functions[0].foreign = Some(ForeignIndex(0));
    executable
}

#[track_caller]
fn check_refused(executable: Executable, reason: &str) {
    let error = Program::new(executable).expect_err("it is refused");
    assert_eq!(error.to_string(), format!("invalid executable: {reason}"));
}

#[test]
fn what_no_path_leads_to_is_checked_too() {
    check_refused(
        executable(0, vec![NULL, Return, Jump(-9), Return]),
        "instruction 2: a jump leads out of its function",
    );
    check_refused(executable(0, vec![NULL, Return, And(1), Return]), "instruction 2: a jump leads out of its function");
    check_refused(executable(0, vec![NULL, Return, Bind(NameIndex(2)), Return]), "instruction 2: no such name");
    check_refused(executable(0, vec![NULL, Return, PushBinding(NameIndex(9)), Return]), "instruction 2: no such name");
}

#[test]
fn only_a_tail_call_of_itself_goes_back() {
    let backwards = "function f: a jump leads backwards";
    check_refused(executable(0, vec![NULL, Pop, NULL, Pop, Jump(-3)]), backwards);
    check_refused(executable(0, vec![NULL, Pop, NULL, JumpIf(-2), NULL, Return]), backwards);
    check_refused(executable(0, vec![NULL, JumpIf(-2), NULL, Return]), backwards);
    check_refused(wrapper(0, vec![Jump(-1)]), backwards);
    assert!(Program::new(executable(0, vec![Jump(-1)])).is_ok());
}

#[test]
fn functions_begin_with_their_parameters() {
    let unbound = "function f: its parameters are not bound";
    check_refused(executable(1, vec![Return]), unbound);
    check_refused(executable(2, vec![Bind(NameIndex(0)), Pop, Bind(NameIndex(1)), Pop, NULL, Return]), unbound);
    let mut twice = executable(2, vec![Bind(NameIndex(0)), Pop, Bind(NameIndex(0)), Pop, NULL, Return]);
    twice.functions[0].parameters[1] = NameIndex(0);
    check_refused(twice, "function f: two parameters have one name");
    let mut import = wrapper(1, vec![Return]);
    import.functions[0].parameters = vec![NameIndex(0); 2];
    check_refused(import, "function f: an import binds no parameters");
}

#[test]
fn an_import_takes_only_so_many_arguments() {
    let call = |arity| wrapper(arity, vec![PushBinding(NameIndex(0)), Call(arity), Return]);
    assert!(Program::new(call(65_535)).is_ok());
    check_refused(call(65_536), "import x takes too many arguments");
    check_refused(wrapper(u32::MAX, vec![NULL, Return]), "import x takes too many arguments");
}
