//! The syntax tree. Expressions are stored in a vector and refer to each other by index, so that neither traversing nor
//! freeing a deep tree needs the native stack.

use std::collections::HashSet;
use std::sync::Arc;

use hark_bytecode::{Attributes, Literal, Operator, Pattern, Span};

/// An index into [`Program::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(pub u32);

/// A parsed file.
#[derive(Debug, Default)]
pub(crate) struct Program<'t> {
    pub nodes: Vec<Node<'t>>,
    /// In source order.
    pub items: Vec<Item<'t>>,
    /// The imports of Hark modules, in source order.
    pub modules: Vec<ModuleImport<'t>>,
    /// Names that malformed items would have bound.
    pub presumed: HashSet<&'t str>,
    /// Whether parsing was abandoned, so that no statement about names is possible.
    pub is_cut: bool,
}

/// An expression and its span.
#[derive(Debug)]
pub(crate) struct Node<'t> {
    pub expression: Expression<'t>,
    pub span: Span,
}

/// A top-level item.
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
    /// If part of the body could not be parsed: the names that this part may have bound.
    pub damage: Option<HashSet<&'t str>>,
}

/// `import(name, module, num_args, alias);`
#[derive(Debug)]
pub(crate) struct Import<'t> {
    /// The name in the program: the alias, if there is one.
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
    /// As written, relative to the importing file.
    pub path: Arc<str>,
    pub path_span: Span,
    /// The prefix of the module's functions, as in `alias.name`. `None` if no alias is given and the file's name is not
    /// a valid name.
    pub alias: Option<Name<'t>>,
}

/// An occurrence of a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'t> {
    pub text: &'t str,
    pub span: Span,
}

/// A sequence of expressions; the value of the last one is the body's. Empty only after a reported error.
pub(crate) type Body = Vec<NodeId>;

/// The kinds of expressions.
#[derive(Debug)]
pub(crate) enum Expression<'t> {
    Literal(Literal),
    Name(&'t str),
    /// An operator used as a function value.
    Operator(Operator),
    List(Vec<NodeId>),
    /// Alternating keys and values.
    Hash(Vec<NodeId>),
    /// `f(x)`; also `x |> f()`, with the left side as the first argument.
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
        /// In the order of the pattern, without duplicates.
        names: Vec<Name<'t>>,
        value: NodeId,
    },
    /// Conditions and their bodies, tried in order.
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
    /// Appends the subexpressions, in unspecified order. The body of a lambda is included.
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

    /// The names that it binds, including the parameters of a lambda.
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
