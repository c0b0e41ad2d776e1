// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/vhost/memory_guard.h"

#include <array>
#include <cerrno>
#include <mutex>
#include <stdexcept>

#include <signal.h>
#include <sys/mman.h>

namespace weft::dataplane::vhost {

/// `sequence` is odd while the control thread changes the others; the handler skips an entry that changes
/// under it, which cannot be the one it looks for: that is in use.
struct MemoryGuard::Entry {
  std::atomic<uint32_t> sequence{0};
  std::atomic<uintptr_t> begin{0};
  std::atomic<size_t> size{0};  // 0: free
  std::atomic<std::atomic<bool>*> gone{nullptr};
};

namespace {

struct Block {
  std::array<MemoryGuard::Entry, 64> entries;
  std::atomic<Block*> next{nullptr};
};

/// Blocks are never freed: the handler may be in any of them.
Block first_block;
std::mutex table_mutex;  // of writers; the handler takes none
struct sigaction previous_action;

void write_entry(MemoryGuard::Entry& e, uintptr_t begin, size_t size, std::atomic<bool>* gone) noexcept {
  e.sequence.fetch_add(1, std::memory_order_acq_rel);
  e.begin.store(begin, std::memory_order_relaxed);
  e.size.store(size, std::memory_order_relaxed);
  e.gone.store(gone, std::memory_order_relaxed);
  e.sequence.fetch_add(1, std::memory_order_acq_rel);
}

/// Async-signal-safe. Whether `address` was in a registered range, which is zero pages now.
bool replace_region(uintptr_t address) noexcept {
  for (Block* block = &first_block; block != nullptr; block = block->next.load(std::memory_order_acquire)) {
    for (MemoryGuard::Entry& e : block->entries) {
      const uint32_t before = e.sequence.load(std::memory_order_acquire);
      const uintptr_t begin = e.begin.load(std::memory_order_relaxed);
      const size_t size = e.size.load(std::memory_order_relaxed);
      std::atomic<bool>* gone = e.gone.load(std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_acquire);
      if ((before & 1) != 0 || e.sequence.load(std::memory_order_relaxed) != before) continue;
      if (address - begin >= size) continue;
      // The whole region: huge pages cannot be replaced one small page at a time, and nothing in it is worth
      // keeping.
      void* p = mmap(reinterpret_cast<void*>(begin), size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
      if (p == MAP_FAILED) return false;
      gone->store(true, std::memory_order_release);
      return true;
    }
  }
  return false;
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const bool handled = replace_region(reinterpret_cast<uintptr_t>(info->si_addr));
  errno = saved_errno;
  if (handled) return;
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr)
    return previous_action.sa_sigaction(signal, info, context);
  if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN)
    return previous_action.sa_handler(signal);
  // Back to the default: the access is repeated and ends the process as it would have without us.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
}

void install_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGBUS, &action, &previous_action) != 0) throw std::runtime_error("cannot install a SIGBUS handler");
}

}  // namespace

MemoryGuard::MemoryGuard(void* begin, size_t size, std::atomic<bool>& gone) {
  static std::once_flag installed;
  std::call_once(installed, install_handler);
  const std::scoped_lock lock(table_mutex);
  for (Block* block = &first_block;; block = block->next.load(std::memory_order_relaxed)) {
    for (Entry& e : block->entries) {
      if (e.size.load(std::memory_order_relaxed) != 0) continue;
      write_entry(e, reinterpret_cast<uintptr_t>(begin), size, &gone);
      entry_ = &e;
      return;
    }
    if (block->next.load(std::memory_order_relaxed) == nullptr) block->next.store(new Block, std::memory_order_release);
  }
}

MemoryGuard::~MemoryGuard() {
  const std::scoped_lock lock(table_mutex);
  write_entry(*entry_, 0, 0, nullptr);
}

}  // namespace weft::dataplane::vhost
