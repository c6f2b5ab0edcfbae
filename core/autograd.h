// Autograd: a tape of nodes, one per recorded operation, walked from the newest to the oldest.
//
// An operation computes its output and then records how the gradient flows back through it:
//
//   Tensor y = Tensor::empty(...);  ... compute ...
//   record(y, "mul", {a, b}, [a = Saved(a), b = Saved(b)](const Tensor& grad, Gradients& to) {
//     if (to.needs(0)) to.add(0, mul(grad, *b));
//     if (to.needs(1)) to.add(1, mul(grad, *a));
//   });
//   return y;
//
// Nodes carry increasing ids, and an operation's id exceeds those of its inputs; so backward takes the highest id
// first, with neither sort nor recursion, and releases each node as soon as it has run. backward consumes the tape: a
// second backward through the same operation is an error.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/scope.h"
#include "core/tensor.h"

namespace mixgrad {

// What a backward function writes to: the gradients of its operation's inputs, by position.
class Gradients {
 public:
  explicit Gradients(Node& node) : node_(node) {}
  bool needs(int input) const;
  // Adds to the gradient of an input. Throws unless the shape and dtype are those of the input. A tensor that is given
  // away, by std::move, saves a leaf the copy.
  void add(int input, const Tensor& grad) { add(input, grad, false); }
  void add(int input, Tensor&& grad) { add(input, grad, true); }
  void add(int input, const Tensor&& grad) = delete;  // a constant cannot be given away

 private:
  void add(int input, const Tensor& grad, bool is_given);
  Node& node_;
};

// grad is the gradient of the scalar with respect to the operation's output, of the output's shape; a function that
// takes it by value may give it away. Runs with recording off.
using Backward = std::function<void(Tensor grad, Gradients& to)>;

// A value that backward reads: the data without its history, and a check that it has not been overwritten since. Empty
// while recording is off, as there will be no backward.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& value);  // may be undefined
  const Tensor& operator*() const;      // throws "mul: an input was modified in place after ..."
  const Tensor* operator->() const { return &**this; }

 private:
  Tensor value_;
  std::uint64_t version_ = 0;
};

// Makes `out` a node of the tape; a no-op when recording is off or no input requires a gradient. `op` must
// outlive the tape (a string literal).
void record(const Tensor& out, const char* op, std::span<const Tensor> inputs, Backward backward);
inline void record(const Tensor& out, const char* op, std::initializer_list<Tensor> inputs, Backward backward) {
  record(out, op, std::span(inputs.begin(), inputs.size()), std::move(backward));
}

bool grad_enabled();  // whether this thread records

// Switches recording off while it lives: { NoGrad off; ... }
class NoGrad {
 public:
  NoGrad();

 private:
  Temporarily<bool> recording_;
};

// no_grad([&] { return model(x); })
template <class F>
decltype(auto) no_grad(F&& f) {
  const NoGrad off;
  return f();
}

// One recorded operation, or (without a backward function) a leaf. Public so that the tape can be inspected.
class Node : NonCopyable {
 public:
  Node(const char* op, const Tensor& out);
  ~Node();

  const char* op;
  std::uint64_t id;  // increasing in order of recording
  Shape shape;       // of the output, and so of grad
  DType dtype;
  std::vector<std::shared_ptr<Node>> inputs;  // null where an input requires no gradient
  Backward backward;                          // empty: a leaf, or already run
  bool leaf = false;
  Tensor grad;
};

// The leaves below a tensor, oldest first: what backward() would fill.
std::vector<std::shared_ptr<Node>> leaves(const Tensor& output);

}  // namespace mixgrad
