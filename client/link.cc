#include "client/link.h"

#include <utility>

#include "client/wire.h"

namespace gyre::client {

std::uint64_t Link::Send(Operation& operation, std::uint32_t deadline_ms, TimePoint now) {
  const std::uint64_t request_id = next_id_++;
  // The silence of an idle link counts from the first request on.
  if (in_flight_.empty() && last_received_ < now) last_received_ = now;
  in_flight_.emplace(request_id, &operation);
  AppendRequestFrame(request_id, operation.request, deadline_ms, out_);
  if (state_ == State::kIdle) {
    state_ = State::kResolving;
    owner_.Resolve(*this);
  } else if (state_ == State::kConnected) {
    owner_.OnDirty(*this);
  }
  return request_id;
}

void Link::Forget(std::uint64_t request_id) {
  forgotten_since_received_ += in_flight_.erase(request_id);
}

void Link::Flush() {
  if (state_ != State::kConnected || out_.empty()) return;
  // A connection that failed is ours until its close callback: what waits for it stays unsent.
  if (!connection_->connected() || connection_->writing()) return;
  first_unsent_ = next_id_;
  connection_->Write(out_);
}

void Link::OnResolved(std::vector<sockaddr_storage> addresses) {
  if (state_ != State::kResolving) return;
  addresses_ = std::move(addresses);
  ConnectNext();
}

void Link::OnResolveFailed(std::string message) {
  if (state_ != State::kResolving) return;
  FailAll({ErrorCode::kIo, std::move(message)});
}

void Link::ConnectNext() {
  const sockaddr_storage address = addresses_.front();
  addresses_.erase(addresses_.begin());
  state_ = State::kConnecting;
  connection_ = FrameConnection::Open(owner_.loop(), reinterpret_cast<const sockaddr*>(&address),
                                      connect_timeout_, *this);
}

bool Link::Unanswered(TimePoint now, Milliseconds silence) const {
  const bool awaits = !in_flight_.empty() || forgotten_since_received_ > 0;
  return state_ == State::kConnected && awaits && now - last_received_ > silence;
}

bool Link::Dead(TimePoint now, Milliseconds silence_max) const {
  return state_ == State::kConnected && forgotten_since_received_ > 0 &&
         now - last_received_ > silence_max;
}

void Link::Break(const Error& error) {
  if (connection_ != nullptr) std::exchange(connection_, nullptr)->Abandon();
  FailAll(error);
}

void Link::Abandon() {
  if (connection_ != nullptr) std::exchange(connection_, nullptr)->Abandon();
  state_ = State::kIdle;
}

void Link::FailAll(const Error& error) {
  const bool was_connected = state_ == State::kConnected;
  state_ = State::kIdle;
  connection_ = nullptr;
  out_.Clear();
  forgotten_since_received_ = 0;
  std::vector<Lost> lost;
  lost.reserve(in_flight_.size());
  for (const auto& [request_id, operation] : in_flight_) {
    lost.push_back({operation, WasSent(request_id)});
  }
  in_flight_.clear();
  first_unsent_ = next_id_;
  owner_.OnLost(*this, was_connected, error, std::move(lost));
}

void Link::OnConnected() {
  state_ = State::kConnected;
  addresses_.clear();
  owner_.OnConnected(*this);
  owner_.OnDirty(*this);
  owner_.OnReadEnd();
}

void Link::OnBytes() {
  last_received_ = std::chrono::steady_clock::now();
  forgotten_since_received_ = 0;
  owner_.OnAlive(*this);
}

bool Link::OnReply(std::uint64_t request_id, std::string_view payload) {
  if (request_id >= first_unsent_ || request_id == 0) return false;
  const auto entry = in_flight_.find(request_id);
  if (entry == in_flight_.end()) return true;  // late: its request was forgotten
  Operation& operation = *entry->second;
  in_flight_.erase(entry);
  return owner_.OnReply(*this, operation, payload);
}

void Link::OnReadEnd() { owner_.OnReadEnd(); }

void Link::OnWritten() { Flush(); }

void Link::OnClosed(const Error& error) {
  connection_ = nullptr;
  if (state_ == State::kConnecting && !addresses_.empty()) return ConnectNext();
  FailAll(error);
}

}  // namespace gyre::client
