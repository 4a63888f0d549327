//! What every storage and every invoker must hold to, as suites that a backend's tests call.
