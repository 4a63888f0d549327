//! A program as a tree. Expressions lie in one row and refer to each other by index, so that neither walking nor
//! freeing a deep tree needs the native stack.

use std::collections::HashSet;
use std::sync::Arc;

use hark_bytecode::{Attributes, Literal, Operator, Pattern, Span};

/// An index into [`Program::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(pub u32);

/// A whole program.
#[derive(Debug, Default)]
pub(crate) struct Program<'t> {
    pub nodes: Vec<Node<'t>>,
    /// In the order of the text.
    pub items: Vec<Item<'t>>,
    /// The Hark modules that are imported, in the order of the text.
    pub modules: Vec<ModuleImport<'t>>,
    /// Names that items with mistakes in them would have bound.
    pub presumed: HashSet<&'t str>,
    /// Whether the rest of the text was not parsed, so that nothing can be said about names.
    pub is_cut: bool,
}

/// An expression and its place.
#[derive(Debug)]
pub(crate) struct Node<'t> {
    pub expression: Expression<'t>,
    pub span: Span,
}

/// What stands at the top level.
#[derive(Debug)]
pub(crate) enum Item<'t> {
    Function(Function<'t>),
    Import(Import<'t>),
}

/// `fn name(parameter, ...) { body }`, or a `lambda`.
#[derive(Debug)]
pub(crate) struct Function<'t> {
    pub name: Name<'t>,
    pub parameters: Vec<Name<'t>>,
    pub body: Body,
    pub attributes: Attributes,
    pub span: Span,
    /// If something in the body could not be parsed: the names that what is missing may have bound.
    pub damage: Option<HashSet<&'t str>>,
}

/// `import(name, module, num_args, alias);`
#[derive(Debug)]
pub(crate) struct Import<'t> {
    /// What the program calls it: the alias, if there is one.
    pub name: Name<'t>,
    pub function: &'t str,
    pub module: &'t str,
    pub arity: u32,
    pub attributes: Attributes,
    pub span: Span,
}

/// `import "lib/text.hk";` or `import("lib/text.hk", alias);`
#[derive(Debug)]
pub(crate) struct ModuleImport<'t> {
    /// As it is written, relative to the file that it stands in.
    pub path: Arc<str>,
    pub path_span: Span,
    /// What the module's functions are called by: `alias.name`. Nothing if none is given, and the file's name is none.
    pub alias: Option<Name<'t>>,
}

/// A name where it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'t> {
    pub text: &'t str,
    pub span: Span,
}

/// Expressions in a row; the last one's value counts. Empty only where a mistake was reported.
pub(crate) type Body = Vec<NodeId>;

/// The kinds of expressions.
#[derive(Debug)]
pub(crate) enum Expression<'t> {
    Literal(Literal),
    Name(&'t str),
    /// An operator as a function value.
    Operator(Operator),
    List(Vec<NodeId>),
    /// Keys and values in turn.
    Hash(Vec<NodeId>),
    /// `f(x)`; also `x |> f()`, whose left side is the first argument.
    Call {
        callee: NodeId,
        arguments: Vec<NodeId>,
        is_async: bool,
    },
    Await(NodeId),
    /// `-x`, `!x`
    Unary {
        operator: Operator,
        operand: NodeId,
    },
    Binary {
        operator: Operator,
        left: NodeId,
        right: NodeId,
    },
    Assign {
        name: Name<'t>,
        value: NodeId,
    },
    /// `[a, [b, _]] = value`
    Unpack {
        pattern: Arc<Pattern>,
        /// In the order of the pattern, each once.
        names: Vec<Name<'t>>,
        value: NodeId,
    },
    /// Conditions with their bodies, tried in turn.
    If {
        branches: Vec<(NodeId, Body)>,
        otherwise: Option<Body>,
    },
    /// `try { body } catch name { handler }`
    Try {
        body: Body,
        name: Option<Name<'t>>,
        handler: Body,
    },
    Lambda(Box<Function<'t>>),
}

impl<'t> Program<'t> {
    /// The node with this index.
    pub fn node(&self, id: NodeId) -> &Node<'t> {
        &self.nodes[id.0 as usize]
    }
}

impl<'t> Expression<'t> {
    /// Adds the expressions that it consists of, in no order that matters. What is in a lambda belongs to it, too.
    pub fn add_parts(&self, parts: &mut Vec<NodeId>) {
        match self {
            Expression::Literal(_) | Expression::Name(_) | Expression::Operator(_) => {}
            Expression::List(items) | Expression::Hash(items) => parts.extend(items),
            Expression::Call { callee, arguments, .. } => {
                parts.push(*callee);
                parts.extend(arguments);
            }
            Expression::Await(operand) | Expression::Unary { operand, .. } => parts.push(*operand),
            Expression::Binary { left, right, .. } => parts.extend([*left, *right]),
            Expression::Assign { value, .. } | Expression::Unpack { value, .. } => parts.push(*value),
            Expression::If { branches, otherwise } => {
                for (condition, body) in branches {
                    parts.push(*condition);
                    parts.extend(body);
                }
                parts.extend(otherwise.iter().flatten());
            }
            Expression::Try { body, handler, .. } => {
                parts.extend(body);
                parts.extend(handler);
            }
            Expression::Lambda(function) => parts.extend(&function.body),
        }
    }

    /// The names that it binds; those of a lambda's parameters, too.
    pub fn bound(&self) -> &[Name<'t>] {
        match self {
            Expression::Assign { name, .. } => std::slice::from_ref(name),
            Expression::Unpack { names, .. } => names,
            Expression::Try { name, .. } => name.as_slice(),
            Expression::Lambda(function) => &function.parameters,
            _ => &[],
        }
    }
}
