"""Constructors of 0 to 24 fields, compiled with this module once: `value` gives each its class's
names.

Only a function with parameters of its own takes them by name quickly. The standard library compiles
one for each class at each start; these are copied, with their parameters renamed. ``A`` sets the
field ``a``, and so on; setting returns None, so ``or`` goes on to the next.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_put: Any = None  # a class's own take its place
A = B = C = D = E = F = G = H = I = J = K = M = _put
N = O = P = Q = R = T = U = V = W = X = Y = Z = _put

PUTS = "ABCDEFGHIJKMNOPQRTUVWXYZ"

# fmt: off
INITS = (
    lambda s: None,
    lambda s, a: A(s, a),
    lambda s, a, b: A(s, a) or B(s, b),
    lambda s, a, b, c: A(s, a) or B(s, b) or C(s, c),
    lambda s, a, b, c, d: A(s, a) or B(s, b) or C(s, c) or D(s, d),
    lambda s, a, b, c, d, e: A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e),
    lambda s, a, b, c, d, e, f: A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f),
    lambda s, a, b, c, d, e, f, g: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g)
    ),
    lambda s, a, b, c, d, e, f, g, h: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
    ),
    lambda s, a, b, c, d, e, f, g, h, i: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p) or Q(s, q)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p) or Q(s, q)
        or R(s, r)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, t: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p) or Q(s, q)
        or R(s, r) or T(s, t)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, t, u: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p) or Q(s, q)
        or R(s, r) or T(s, t) or U(s, u)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, t, u, v: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p) or Q(s, q)
        or R(s, r) or T(s, t) or U(s, u) or V(s, v)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, t, u, v, w: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p) or Q(s, q)
        or R(s, r) or T(s, t) or U(s, u) or V(s, v) or W(s, w)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, t, u, v, w, x: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p) or Q(s, q)
        or R(s, r) or T(s, t) or U(s, u) or V(s, v) or W(s, w) or X(s, x)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, t, u, v, w, x, y: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p) or Q(s, q)
        or R(s, r) or T(s, t) or U(s, u) or V(s, v) or W(s, w) or X(s, x) or Y(s, y)
    ),
    lambda s, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, t, u, v, w, x, y, z: (
        A(s, a) or B(s, b) or C(s, c) or D(s, d) or E(s, e) or F(s, f) or G(s, g) or H(s, h)
        or I(s, i) or J(s, j) or K(s, k) or M(s, m) or N(s, n) or O(s, o) or P(s, p) or Q(s, q)
        or R(s, r) or T(s, t) or U(s, u) or V(s, v) or W(s, w) or X(s, x) or Y(s, y) or Z(s, z)
    ),
)
# fmt: on
