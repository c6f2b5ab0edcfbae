#include "core/autograd.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <utility>

#include "core/pointwise.h"

namespace mixgrad {
namespace {

thread_local bool recording = true;
thread_local const char* running_op = "backward";  // whose backward function is running, for error messages
std::atomic<std::uint64_t> next_id{1};

// What backward() adds to leaves that already have a gradient: all at once at the end, in one launch on a GPU.
thread_local std::vector<Addition> leaf_additions;
void add_to_leaves() { add_each_(std::exchange(leaf_additions, {})); }

void accumulate(Node& node, const Tensor& gradient, bool is_given) {
  Tensor& grad = node.grad;
  if (!grad) {
    // A leaf's gradient outlives the tape, so it must own its memory.
    grad = node.leaf && !(is_given && gradient.is_only_handle()) ? gradient.clone() : gradient;
  } else if (!node.leaf) {
    grad = add(grad, gradient);  // not in place: the memory may be another node's gradient as well
  } else {
    // A parameter that is used twice, or another device.
    const auto separate = [&](const Addition& other) { return other.a.is(grad) || other.a.device() != grad.device(); };
    if (std::ranges::any_of(leaf_additions, separate)) add_to_leaves();
    leaf_additions.push_back({grad, gradient});
  }
}

// Nodes to visit by their id, the newest first; each is there once, whoever of its consumers names it.
class Worklist : public std::map<std::uint64_t, std::shared_ptr<Node>> {
 public:
  explicit Worklist(const std::shared_ptr<Node>& last) { emplace(last->id, last); }
  void insert_inputs(const Node& node) {
    for (const auto& input : node.inputs)
      if (input) emplace(input->id, input);
  }
  std::shared_ptr<Node> pop() { return extract(std::prev(end())).mapped(); }
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

bool Gradients::needs(int input) const { return node_.inputs[static_cast<std::size_t>(input)] != nullptr; }

void Gradients::add(int input, const Tensor& grad, bool is_given) {
  if (!needs(input)) return;
  Node& target = *node_.inputs[static_cast<std::size_t>(input)];
  check(grad.shape() == target.shape && grad.dtype() == target.dtype, node_.op, ": backward gives input ", input,
        " a gradient ", name_of(grad.dtype()), grad.shape(), ", the input is ", name_of(target.dtype), target.shape);
  accumulate(target, grad, is_given);
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
  const Temporarily collecting(leaf_additions, {});
  accumulate(*node(), ones(shape(), options()), true);
  Worklist worklist(node());
  try {
    while (!worklist.empty()) {
      const auto node = worklist.pop();
      if (node->leaf) continue;
      Tensor grad = std::exchange(node->grad, {});
      if (!grad.defined()) continue;  // its consumers passed nothing on
      // Without the operation's name: the caller may not know it, such as the reshape within a sum.
      check(node->backward != nullptr,
            "backward: an earlier backward() has already consumed the tape of this tensor, or a part "
            "of it; compute it again, or add the losses and call backward() once");
      worklist.insert_inputs(*node);
      const Temporarily name(running_op, node->op);
      Gradients to(*node);
      std::exchange(node->backward, nullptr)(std::move(grad), to);
      node->inputs.clear();
    }
    add_to_leaves();
  } catch (...) {  // discard it, so that no later backward() sees it
    while (!worklist.empty())
      if (const auto node = worklist.pop(); !node->leaf) node->grad = {};
    throw;
  }
}

std::vector<std::shared_ptr<Node>> leaves(const Tensor& output) {
  std::vector<std::shared_ptr<Node>> found;
  if (!output.requires_grad()) return found;
  for (Worklist worklist(output.node()); !worklist.empty();) {
    const auto node = worklist.pop();
    if (node->leaf) found.push_back(node);
    worklist.insert_inputs(*node);
  }
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace mixgrad
