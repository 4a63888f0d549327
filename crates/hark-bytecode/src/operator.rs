//! The operators on values. (`=`, `async` and `await` are not values and not listed here.)

/// An operator of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`, with one operand: negation
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `!`
    Not,
}

impl Operator {
    /// All operators.
    pub const ALL: [Operator; 14] = [
        Operator::Add,
        Operator::Subtract,
        Operator::Multiply,
        Operator::Divide,
        Operator::Modulo,
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
        Operator::And,
        Operator::Or,
        Operator::Not,
    ];

    /// The operator's spelling, which is also the name it is bound to.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::And => "&&",
            Operator::Or => "||",
            Operator::Not => "!",
        }
    }

    /// The operator with this symbol.
    pub fn from_symbol(symbol: &str) -> Option<Operator> {
        Operator::ALL.into_iter().find(|operator| operator.symbol() == symbol)
    }

    /// The number of parameters it has as a function value.
    pub fn arity(self) -> u32 {
        if self == Operator::Not { 1 } else { 2 }
    }
}
