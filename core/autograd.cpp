#include "core/autograd.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

#include "core/pointwise.h"

namespace mixgrad {
namespace {

thread_local bool recording = true;
thread_local const char* running_op = "backward";  // whose backward function is running, for error messages
std::atomic<std::uint64_t> next_id{1};

// What backward() adds to leaves that already have a gradient: all at once at the end, in one launch on a GPU.
class LeafAdditions {
 public:
  void add(const Tensor& grad, const Tensor& gradient) {
    const auto same = [&](const Addition& addition) { return addition.a.is(grad); };
    if (std::any_of(list_.begin(), list_.end(), same)) run();  // a parameter that is used twice
    if (!list_.empty() && list_.front().a.device() != grad.device()) run();
    list_.push_back({grad, gradient});
  }
  void run() { add_each_(std::exchange(list_, {})); }

 private:
  std::vector<Addition> list_;
};
thread_local LeafAdditions* leaf_additions = nullptr;  // of the backward() that is running

struct Newer {
  bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const { return a->id > b->id; }
};
// Nodes to visit, the newest first; each is there once, whoever of its consumers names it.
class Worklist : public std::set<std::shared_ptr<Node>, Newer> {
 public:
  void insert_inputs(const Node& node) {
    for (const auto& input : node.inputs)
      if (input) insert(input);
  }
  std::shared_ptr<Node> pop() { return extract(begin()).value(); }
};

}  // namespace

bool grad_enabled() { return recording; }
NoGrad::NoGrad() : recording_(recording, false) {}

Node::Node(const char* op, const Tensor& out) : op(op), id(next_id++), shape(out.shape()), dtype(out.dtype()) {}

// A long tape that is dropped without backward would destroy itself recursively, one stack frame per operation;
// instead each node hands its inputs to a list that the outermost destructor empties.
Node::~Node() {
  thread_local std::vector<std::shared_ptr<Node>>* pending = nullptr;
  if (pending) {
    std::move(inputs.begin(), inputs.end(), std::back_inserter(*pending));
    return;
  }
  std::vector<std::shared_ptr<Node>> list = std::move(inputs);
  pending = &list;
  while (!list.empty()) {
    const auto node = std::move(list.back());
    list.pop_back();
  }
  pending = nullptr;
}

void Node::accumulate(const Tensor& gradient) {
  if (!grad.defined())
    grad = leaf ? gradient.clone() : gradient;  // a leaf's gradient outlives the tape, so it owns its memory
  else if (leaf && leaf_additions) leaf_additions->add(grad, gradient);
  else if (leaf) add_(grad, gradient);
  else grad = add(grad, gradient);  // not in place: the memory may be another node's gradient as well
}

bool Gradients::needs(int input) const { return node_.inputs[static_cast<std::size_t>(input)] != nullptr; }

void Gradients::add(int input, const Tensor& grad) {
  if (!needs(input)) return;
  Node& target = *node_.inputs[static_cast<std::size_t>(input)];
  check(grad.shape() == target.shape && grad.dtype() == target.dtype, node_.op, ": backward gives input ", input,
        " a gradient ", name_of(grad.dtype()), grad.shape(), ", the input is ", name_of(target.dtype), target.shape);
  target.accumulate(grad);
}

Saved::Saved(const Tensor& value) {
  if (!value.defined() || !recording) return;  // there will be no backward
  value_ = value.detach();
  version_ = value_.storage()->version();
}

const Tensor& Saved::operator*() const {
  check(!value_.defined() || value_.storage()->version() == version_, running_op,
        ": a tensor saved for backward was modified in place after the forward pass");
  return value_;
}

void record(const Tensor& out, const char* op, std::span<const Tensor> inputs, Backward backward) {
  const auto takes_part = [](const Tensor& input) { return input.defined() && input.requires_grad(); };
  if (!recording || std::none_of(inputs.begin(), inputs.end(), takes_part)) return;
  auto node = std::make_shared<Node>(op, out);
  node->inputs.reserve(inputs.size());
  for (const Tensor& input : inputs) node->inputs.push_back(takes_part(input) ? input.node() : nullptr);
  node->backward = std::move(backward);
  out.set_node(std::move(node));
}

void Tensor::backward() const {
  check(numel() == 1, "backward: needs a single value, got shape ", shape());
  check(requires_grad(), "backward: the tensor does not depend on anything that requires a gradient");
  const NoGrad off;
  LeafAdditions additions;
  const Temporarily collecting(leaf_additions, &additions);
  node()->accumulate(ones(shape(), options()));
  Worklist worklist;
  worklist.insert(node());
  try {
    while (!worklist.empty()) {
      const auto node = worklist.pop();
      if (node->leaf) continue;
      const Tensor grad = std::exchange(node->grad, {});
      if (!grad.defined()) continue;  // its consumers passed nothing on
      // Without the operation's name: the caller may not know it, such as the reshape within a sum.
      check(node->backward != nullptr,
            "backward: an earlier backward() has already consumed the tape of this tensor, or a part "
            "of it; compute it again, or add the losses and call backward() once");
      worklist.insert_inputs(*node);
      const Temporarily name(running_op, node->op);
      Gradients to(*node);
      std::exchange(node->backward, nullptr)(grad, to);
      node->inputs.clear();
    }
    additions.run();
  } catch (...) {  // discard it, so that no later backward() sees it
    while (!worklist.empty())
      if (const auto node = worklist.pop(); !node->leaf) node->grad = {};
    throw;
  }
}

std::vector<std::shared_ptr<Node>> leaves(const Tensor& output) {
  std::vector<std::shared_ptr<Node>> found;
  Worklist worklist;
  if (output.requires_grad()) worklist.insert(output.node());
  while (!worklist.empty()) {
    const auto node = worklist.pop();
    if (node->leaf) found.push_back(node);
    worklist.insert_inputs(*node);
  }
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace mixgrad
