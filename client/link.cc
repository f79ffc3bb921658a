#include "client/link.h"

#include <cassert>
#include <limits>
#include <utility>

#include "client/wire.h"
#include "proto/frame.h"

namespace gyre::client {

std::uint64_t Link::Send(Request& request, std::uint32_t deadline_ms, TimePoint now) {
  const std::uint64_t request_id = next_id_++;
  // The silence of an idle link counts from the first request on.
  if (in_flight_.empty() && last_received_ < now) last_received_ = now;
  in_flight_.emplace(request_id, &request);
  // Said with the first requests, those that wait for the connection.
  const bool takes_goodbye = state_ != State::kConnected;
  AppendRequestFrame(request_id, request.encoded, deadline_ms, out_, takes_goodbye);
  if (state_ == State::kIdle) {
    state_ = State::kResolving;
    owner_.Resolve(*this);
  } else if (state_ == State::kConnected) {
    owner_.OnDirty(*this);
  }
  return request_id;
}

void Link::Forget(std::uint64_t request_id) {
  const auto entry = in_flight_.find(request_id);
  if (entry == in_flight_.end()) return;
  if (!WasSent(request_id)) forgotten_bytes_ += entry->second->encoded.size();
  in_flight_.erase(entry);
  ++forgotten_since_received_;
  if (forgotten_bytes_ > out_.size() / 2) DropForgotten();
}

void Link::DropForgotten() {
  ByteQueue<> wanted;
  for (std::string_view left = out_.view(); !left.empty();) {
    const auto header = DecodeFrameHeader(left.data(), std::numeric_limits<std::uint32_t>::max());
    assert(header && header->frame_bytes() <= left.size());
    if (in_flight_.contains(header->request_id))
      wanted.Append(left.substr(0, header->frame_bytes()));
    left.remove_prefix(header->frame_bytes());
  }
  out_ = std::move(wanted);
  forgotten_bytes_ = 0;
}

void Link::Flush() {
  if (state_ != State::kConnected || out_.empty()) return;
  // A connection that failed is ours until its close callback: what waits for it stays unsent.
  if (!connection_->connected() || connection_->writing()) return;
  if (forgotten_bytes_ > 0) DropForgotten();
  first_unsent_ = next_id_;
  if (!out_.empty()) connection_->Write(out_);
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
  out_.Release();
  forgotten_bytes_ = 0;
  forgotten_since_received_ = 0;
  std::vector<Lost> lost;
  lost.reserve(in_flight_.size());
  for (const auto& [request_id, request] : in_flight_) {
    lost.push_back({request, WasSent(request_id)});
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
  Request& request = *entry->second;
  in_flight_.erase(entry);
  return owner_.OnReply(*this, request, payload);
}

// None of what has no answer was carried out: it is as good as unsent.
void Link::OnGoodbye() { first_unsent_ = 1; }

void Link::OnReadEnd() { owner_.OnReadEnd(); }

void Link::OnWritten() { Flush(); }

void Link::OnClosed(const Error& error) {
  connection_ = nullptr;
  if (state_ == State::kConnecting && !addresses_.empty()) return ConnectNext();
  FailAll(error);
}

}  // namespace gyre::client
