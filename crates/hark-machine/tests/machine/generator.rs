//! Random programs, each from a seed. They terminate, most of them without an error.
//!
//! The first letter of a name shows the type of its value, so that most expressions get suitable operands; a few get
//! arbitrary ones. A function calls only later functions, and itself as often as its first parameter says.

/// A pseudo-random generator.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// The intended type of an expression.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Boolean,
    List,
    Text,
    Hash,
    Future,
}

use Kind::{Boolean, Future, Hash, List, Number, Text};

const KINDS: [Kind; 6] = [Number, Boolean, List, Text, Hash, Future];

impl Kind {
    fn letter(self) -> char {
        match self {
            Number => 'n',
            Boolean => 'b',
            List => 'l',
            Text => 't',
            Hash => 'h',
            Future => 'f',
        }
    }
}

/// A function that others may call.
struct Signature {
    name: String,
    parameters: Vec<Kind>,
    result: Kind,
}

/// The maximum nesting of expressions in statements, and of statements.
const DEPTH: usize = 4;

struct Generator {
    random: Random,
    functions: Vec<Signature>,
    /// The function being generated.
    current: usize,
    /// The names bound so far in its text. On some paths they are unbound.
    bound: Vec<(Kind, String)>,
    /// Whether the current function has a call of itself.
    repeats: bool,
}

/// The text of a program that starts with `main`.
pub fn program(seed: u64) -> String {
    let mut random = Random::new(seed);
    let count = 1 + random.below(4);
    let mut functions = vec![Signature { name: "main".into(), parameters: Vec::new(), result: List }];
    for number in 1..=count {
        let many = if random.chance(10) { 30 } else { 4 };
        let mut parameters = vec![Number];
        parameters.extend((0..random.below(many)).map(|_| *random.pick(&KINDS)));
        functions.push(Signature { name: format!("function{number}"), parameters, result: *random.pick(&KINDS[..5]) });
    }
    let mut generator = Generator { random, functions, current: 0, bound: Vec::new(), repeats: false };
    let functions: String = (0..=count).map(|index| generator.function(index)).collect();
    format!("{functions}fn identity(x) {{ x }}\n")
}

impl Generator {
    fn function(&mut self, index: usize) -> String {
        self.current = index;
        self.repeats = false;
        let Signature { name, parameters, result } = &self.functions[index];
        let (name, result) = (name.clone(), *result);
        let named =
            parameters.iter().enumerate().map(|(position, kind)| (*kind, format!("{}{position}", kind.letter())));
        self.bound = named.collect();
        let names = self.bound.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ");
        let mut body = self.body(result, DEPTH);
        if index > 0 && self.random.chance(50) {
            let again = self.repetition();
            let again = if self.random.chance(30) { self.repetition_in_try(&again, result) } else { again };
            body = format!("if n0 > 0 {{ {} {again} }} else {{ {body} }}", self.statements(2));
        }
        format!("fn {name}({names}) {{ {body} }}\n")
    }

    /// A recursive call with a smaller first argument.
    fn repetition(&mut self) -> String {
        self.repeats = true;
        let parameters = self.functions[self.current].parameters.clone();
        let others = parameters[1..].iter().map(|kind| self.expression(*kind, 2));
        let arguments = std::iter::once("n0 - 1".to_owned()).chain(others).collect::<Vec<_>>();
        format!("{}({})", self.functions[self.current].name, arguments.join(", "))
    }

    /// A recursive call in a `try`, where the last call is not a tail call, or in a handler, where it is one.
    fn repetition_in_try(&mut self, again: &str, result: Kind) -> String {
        match self.random.below(3) {
            0 => format!("(try {{ {again} }} catch e {{ print(get(e, \"kind\")); {} }})", self.expression(result, 1)),
            1 => format!("(try {{ {}; {again} }} catch {{ {again} }})", self.raising(1)),
            _ => format!("(try {{ {}; {} }} catch e {{ {again} }})", self.raising(1), self.expression(result, 1)),
        }
    }

    fn body(&mut self, result: Kind, depth: usize) -> String {
        format!("{} {}", self.statements(depth), self.expression(result, depth))
    }

    /// A body that is not always executed: code after it seldom reads what it binds.
    fn branch(&mut self, result: Kind, depth: usize) -> String {
        let bound = self.bound.len();
        let body = self.body(result, depth);
        if self.random.chance(95) {
            self.bound.truncate(bound);
        }
        body
    }

    fn statements(&mut self, depth: usize) -> String {
        (0..self.random.below(4)).map(|_| self.statement(depth) + " ").collect()
    }

    fn statement(&mut self, depth: usize) -> String {
        match self.random.below(10) {
            0 => format!("print({});", self.any(depth)),
            1 => format!("{};", self.any(depth)),
            2 => {
                let (first, second) =
                    (format!("n{}", 1 + self.random.below(7)), format!("l{}", 1 + self.random.below(7)));
                let value = format!("[{}, [{}, 0]]", self.expression(Number, depth), self.expression(List, depth));
                for (kind, name) in [(Number, &first), (List, &second)] {
                    if !self.bound.iter().any(|(_, bound)| bound == name) {
                        self.bound.push((kind, name.clone()));
                    }
                }
                format!("[{first}, [{second}, _]] = {value};")
            }
            3 | 4 if depth > 0 => {
                let condition = self.expression(Boolean, depth - 1);
                let then = self.branch(Number, depth - 1);
                if self.random.chance(50) {
                    format!("if {condition} {{ {then} }}")
                } else {
                    format!("if {condition} {{ {then} }} else {{ {} }}", self.branch(Number, depth - 1))
                }
            }
            _ => {
                let kind = *self.random.pick(&KINDS);
                format!("{};", self.binding(kind, depth))
            }
        }
    }

    /// Binds a new name or an existing one, but not the first parameter, which bounds recursion.
    fn binding(&mut self, kind: Kind, depth: usize) -> String {
        let value = self.expression(kind, depth);
        let name = format!("{}{}", kind.letter(), 1 + self.random.below(7));
        if !self.bound.iter().any(|(_, bound)| *bound == name) {
            self.bound.push((kind, name.clone()));
        }
        format!("{name} = {value}")
    }

    fn any(&mut self, depth: usize) -> String {
        let kind = *self.random.pick(&KINDS);
        self.expression(kind, depth)
    }

    fn expression(&mut self, kind: Kind, depth: usize) -> String {
        let kind = if self.random.chance(1) { *self.random.pick(&KINDS) } else { kind };
        if depth == 0 || self.random.chance(20) {
            return self.atom(kind);
        }
        let depth = depth - 1;
        match self.random.below(20) {
            0 => self.atom(kind),
            1 => format!("({})", self.binding(kind, depth)),
            2 | 3 => {
                let condition = self.expression(Boolean, depth);
                format!("if {condition} {{ {} }} else {{ {} }}", self.branch(kind, depth), self.branch(kind, depth))
            }
            4 | 5 => self.call(kind, depth),
            6 => self.function_value(kind, depth),
            7 | 8 => self.attempt(kind, depth),
            9 => self.closure(kind, depth),
            10 => self.closures_of_closures(kind, depth),
            11 => self.piped(kind, depth),
            _ => self.compound(kind, depth),
        }
    }

    fn atom(&mut self, kind: Kind) -> String {
        let known: Vec<&String> = self.bound.iter().filter(|(bound, _)| *bound == kind).map(|(_, name)| name).collect();
        if !known.is_empty() && self.random.chance(75) {
            return (*self.random.pick(&known)).clone();
        }
        let number = self.random.below(5);
        match kind {
            Number if self.random.chance(20) => format!("{number}.5"),
            Number if self.random.chance(5) => "9223372036854775807".to_owned(),
            Number => number.to_string(),
            Boolean => ["true", "false"][number % 2].to_owned(),
            List => ["[]", "[1]", "[2, [3]]", "[0, 1, 2]", "[true]"][number].to_owned(),
            Text => format!("\"text {number}\""),
            Hash => ["{}", "{1: 2}", "{\"k\": [1]}", "{true: 1, 2: 3}", "{0: 0}"][number].to_owned(),
            Future => format!("(async length([{number}]))"),
        }
    }

    /// A call of a function of this type, or a single recursive call.
    fn call(&mut self, kind: Kind, depth: usize) -> String {
        if self.current > 0 && !self.repeats && self.functions[self.current].result == kind && self.random.chance(20) {
            let again = self.repetition();
            return format!("if n0 > 0 {{ {again} }} else {{ {} }}", self.atom(kind));
        }
        let index = self.current + 1 + self.random.below(3);
        let result = self.functions.get(index).map(|callee| callee.result);
        match (kind, result) {
            (_, None) => self.compound(kind, depth),
            (Future, Some(_)) => format!("(async {})", self.call_of(index, depth)),
            (_, Some(result)) if result == kind && self.random.chance(30) => {
                format!("(await async {})", self.call_of(index, depth))
            }
            (_, Some(result)) if result == kind => self.call_of(index, depth),
            (List, Some(_)) => format!("[{}]", self.call_of(index, depth)),
            _ => self.compound(kind, depth),
        }
    }

    fn call_of(&mut self, index: usize, depth: usize) -> String {
        let Signature { name, parameters, .. } = &self.functions[index];
        let (name, parameters) = (name.clone(), parameters.clone());
        let others = parameters[1..].iter().map(|kind| self.expression(*kind, depth.min(1)));
        let arguments = std::iter::once("2".to_owned()).chain(others).collect::<Vec<_>>().join(", ");
        format!("{name}({arguments})")
    }

    /// A `try`. Anything in it may raise; often something certainly does.
    fn attempt(&mut self, kind: Kind, depth: usize) -> String {
        let tried = if self.random.chance(50) {
            let bound = self.bound.len();
            let statements = self.statements(depth);
            let raised = self.raising(depth);
            let rest = self.expression(kind, depth);
            if self.random.chance(80) {
                self.bound.truncate(bound);
            }
            format!("{statements} {raised}; {rest}")
        } else {
            self.branch(kind, depth)
        };
        let (name, handled) = match self.random.below(4) {
            0 => ("", self.branch(kind, depth)),
            1 => ("e", format!("print(get(e, \"message\")); {}", self.branch(kind, depth))),
            2 => ("e", format!("print(e); {}", self.branch(kind, depth))),
            _ => ("e", format!("if {} {{ error(e) }} {}", self.expression(Boolean, depth), self.branch(kind, depth))),
        };
        format!("(try {{ {tried} }} catch {name} {{ {handled} }})")
    }

    /// An expression that may or certainly does raise an error.
    fn raising(&mut self, depth: usize) -> String {
        match self.random.below(6) {
            0 => format!("error({})", self.expression(Text, depth)),
            1 => format!("({} / 0)", self.expression(Number, depth)),
            2 => format!(
                "if {} {{ error({{\"message\": {}, \"kind\": \"mine\"}}) }}",
                self.expression(Boolean, depth),
                self.expression(Text, depth)
            ),
            3 => format!("first(rest({}))", self.expression(List, depth)),
            4 => format!("await (async first({}))", self.expression(List, depth)),
            _ => format!("[x1, [x2, _]] = {}", self.expression(List, depth)),
        }
    }

    /// A lambda that reads and binds surrounding variables, called at once, later, or in a thread.
    fn closure(&mut self, kind: Kind, depth: usize) -> String {
        let body = self.lambda_body(kind, kind, depth);
        let (argument, name) = (self.expression(kind, depth.min(1)), format!("g{}", 3 + self.random.below(3)));
        match self.random.below(4) {
            0 => format!("(lambda (x) {{ {body} }})({argument})"),
            1 => format!("(await (async (lambda (x) {{ {body} }})({argument})))"),
            2 => format!(
                "(if null == ({name} = lambda (x) {{ {body} }}) {{ {argument} }} else {{ {name}({argument}) }})"
            ),
            _ => format!("nth([lambda (x) {{ {body} }}], 0)({argument})"),
        }
    }

    /// The body of a lambda whose parameter is `x`.
    fn lambda_body(&mut self, parameter: Kind, result: Kind, depth: usize) -> String {
        let bound = self.bound.len();
        self.bound.push((parameter, "x".to_owned()));
        let body = self.body(result, depth.min(2));
        self.bound.truncate(bound);
        body
    }

    /// Lambdas that call each other, also from within each other.
    fn closures_of_closures(&mut self, kind: Kind, depth: usize) -> String {
        let (first, second) = (self.lambda_body(kind, kind, depth), self.lambda_body(kind, kind, depth));
        let argument = self.expression(kind, depth.min(1));
        match self.random.below(3) {
            0 => format!(
                "(if null == (g6 = lambda (x) {{ {first} }}) {{ {argument} }} else {{ g7 = lambda (x) {{ x = g6(x); \
                 {second} }}; g6 = lambda (x) {{ g7(g6(x)) }}; g6({argument}) }})"
            ),
            1 => {
                format!("(lambda (x) {{ lambda (y) {{ x = {first}; lambda () {{ y; {second} }} }} }})({argument})(0)()")
            }
            _ => format!(
                "(try {{ (lambda (g8) {{ lambda (x) {{ g8(g8(x)) }} }})(lambda (x) {{ {first} }})({argument}) }} \
                 catch e {{ (lambda (x) {{ print(get(e, \"message\")); {second} }})({argument}) }})"
            ),
        }
    }

    /// A call that gets its first argument from a pipe.
    fn piped(&mut self, kind: Kind, depth: usize) -> String {
        match (kind, self.random.below(3)) {
            (Number, 0) => format!("({} |> length())", self.expression(List, depth)),
            (List, 0) => format!("({} |> append({}))", self.expression(List, depth), self.expression(Number, depth)),
            (List, 1) => {
                let list = self.expression(List, depth);
                format!("({list} |> map(lambda (x) {{ {} }}))", self.lambda_body(Number, Number, depth))
            }
            (Hash, 0) => format!("({} |> set({}, 0))", self.expression(Hash, depth), self.expression(Number, depth)),
            (_, 1) => {
                let argument = self.expression(kind, depth);
                let body = self.lambda_body(kind, kind, depth);
                format!("({argument} |> (lambda (x) {{ {body} }})() |> (lambda (x) {{ x }})())")
            }
            _ => {
                let argument = self.expression(kind, depth);
                format!(
                    "({argument} |> (if {} {{ lambda (x) {{ x }} }} else {{ identity }})())",
                    self.expression(Boolean, depth)
                )
            }
        }
    }

    /// A lambda, builtin or operator called through a variable.
    fn function_value(&mut self, kind: Kind, depth: usize) -> String {
        let name = format!("g{}", self.random.below(3));
        let argument = self.expression(kind, depth);
        match (kind, self.random.below(3)) {
            (Number, 0) => {
                let other = self.expression(kind, depth);
                format!("(if null == ({name} = -) {{ 0 }} else {{ {name}({argument}, {other}) }})")
            }
            (Boolean, 0) => format!("(if null == ({name} = !) {{ true }} else {{ {name}({argument}) }})"),
            (List, 0) => format!("(if null == ({name} = rest) {{ [] }} else {{ {name}({argument}) }})"),
            _ => format!("(if null == ({name} = lambda (x) {{ x }}) {{ {argument} }} else {{ {name}({argument}) }})"),
        }
    }

    /// A wait that results in a number if its Futures do.
    fn waiting(&mut self, depth: usize) -> String {
        let first = self.future(depth);
        match self.random.below(7) {
            0 => format!("(await {first})"),
            1 => format!("nth(any([{first}, {}]), 1)", self.future(depth)),
            2 => format!("nth(any([{first}, {}, {}]), 1)", self.future(depth), self.expression(Number, depth)),
            3 => format!("first(any([async error(\"no\"), {first}]))"),
            4 => format!("(try {{ await_for({first}, 0) }} catch {{ {} }})", self.expression(Number, depth)),
            5 => format!("get(await_for({{1: {first}, 2: [{}, 3]}}, 1), 1)", self.future(depth)),
            _ => format!("get(await {{1: {first}, \"k\": {{2: {}}}}}, 1)", self.future(depth)),
        }
    }

    /// A Future: often one stored in a variable, which may have been awaited before.
    fn future(&mut self, depth: usize) -> String {
        let bound: Vec<&String> = self.bound.iter().filter(|(kind, _)| *kind == Future).map(|(_, name)| name).collect();
        if !bound.is_empty() && self.random.chance(60) {
            return (*self.random.pick(&bound)).clone();
        }
        self.expression(Future, depth)
    }

    fn compound(&mut self, kind: Kind, depth: usize) -> String {
        let choice = self.random.below(8);
        if kind == Number && choice == 6 && depth > 0 {
            return self.waiting(depth);
        }
        let mut of = |kind: Kind| self.expression(kind, depth);
        match (kind, choice) {
            (Number, 0..=3) => {
                let (left, right) = (of(Number), of(Number));
                format!("({left} {} {right})", self.random.pick(&["+", "-", "*", "/", "%", "+", "-"]))
            }
            (Number, 4) => format!("length({})", of(List)),
            (Number, 5) => format!("(-{})", of(Number)),
            (Number, 6) => format!("(await {})", of(Future)),
            (Number, _) => format!("(if nullp({}) {{ 0 }} else {{ {} }})", of(List), of(Number)),
            (Boolean, 0 | 1) => {
                let (left, right) = (of(Number), of(Number));
                format!("({left} {} {right})", self.random.pick(&["==", "!=", "<", "<=", ">", ">="]))
            }
            (Boolean, 2 | 3) => format!("(!{})", of(Boolean)),
            (Boolean, 4) => format!("({} && {})", of(Boolean), of(Boolean)),
            (Boolean, 5) => format!("({} || {})", of(Boolean), of(Boolean)),
            (Boolean, 6) => format!("nullp({})", of(List)),
            (Boolean, _) => format!("({} == {})", of(List), of(List)),
            (List, 0) => format!("[{}, {}]", of(Number), of(List)),
            (List, 1) => format!("[{}, {}, {}]", of(Boolean), of(Number), of(Text)),
            (List, 2) => format!("append({}, {})", of(List), of(Number)),
            (List, 3) => format!("conc({}, {})", of(Number), of(List)),
            (List, 4) => format!("({} + {})", of(List), of(List)),
            (List, 5) => {
                let list = of(List);
                format!("(if nullp({list}) {{ [] }} else {{ rest({list}) }})")
            }
            (List, 6) => format!("[if {} {{ {} }}]", of(Boolean), of(Text)),
            (List, 7) if depth > 0 => format!("await [{}, {}, {{1: {}}}]", of(Future), of(Number), of(Future)),
            (List, _) => format!("[await {}, get({}, 1)]", of(Future), of(Hash)),
            (Text, 0..=3) => format!("({} + {})", of(Text), of(Text)),
            (Text, _) => format!("to_string({})", of(Number)),
            (Hash, 0..=3) => format!("set({}, {}, {})", of(Hash), of(Number), of(List)),
            (Hash, _) => format!("{{{}: {}, {}: {}}}", of(Number), of(List), of(Text), of(Hash)),
            (Future, 0..=3) => format!("(async nth([{}], 0))", of(Number)),
            (Future, _) => format!("(async length({}))", of(List)),
        }
    }
}
