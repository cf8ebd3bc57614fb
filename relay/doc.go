// Package relay carries bytes between clients of local ports and an upstream proxy provider.
//
// # The way of a byte
//
// A Relay binds its ports (listener.go) and runs event loops, one for each processor (loop.go), each of which waits for
// its descriptors with a poller (package poll). A port that others have is tried again (busy.go). The wait tells of a connection; if there is room for it (admission.go) it is
// accepted, and closed at once if its address is not one that may connect (door.go; package allow). Else it is given to a loop, which makes a conn of it (conn.go). From there on a connection belongs to that loop, and nothing of it is shared.
//
//	accepted → (PROXY header →) idle → head ─┬─ Session API → content → waiting for its conditions → answer → idle
//	                            └─ SOCKS ────┤
//	                                         ├─ refused → lingering → closed
//	                                         ├─ CONNECT → dialling → reply ─┬─ 2xx → tunnel → half-closed → closed
//	                                         │                              ├─ 407 → verdict → refused
//	                                         │                              └─ else → answer → lingering → closed
//	                                         └─ plain HTTP → dialling → exchange ─┬─ idle
//	                                                                              ├─ early → lingering → closed
//	                                                                              └─ 101 → tunnel
//
// Three machines share this way. The intake takes what a client sends until that is a request (exchange.go), which is the same
// whether it was said in HTTP or in SOCKS. Outbound finds a way upstream for it. The
// transfer moves bytes until the request is answered, or the tunnel has ended.
//
// Where a load balancer stands before a port it says first whose connection it is (proxyheader.go; package proxyheader has the
// header). What a SOCKS client asks for is the same request as that of a CONNECT (socks.go; package socks has the messages). Who a client is, and where its request goes, is decided for
// each request (route.go): mostly to the session's HTTP proxy; through a SOCKS server, which is asked for a tunnel behind
// dialling (handshake.go); or straight to the target (target.go).
//
// A request head is parsed where it was read, in the loop's one buffer (intake.go). What cannot go on as
// it came, though it has one plain meaning, is put right there (plain.go), so that all others see it as it goes on. It is for the
// Session API (api.go), refused (answer.go; package refusal has the table), or goes upstream: outbound.go finds a way to it along a route that is decided before (route.go), to the servers that may be
// tried in their order (server.go). It connects to the first of a server's addresses that answers (attempts.go;
// package race says when the next one is tried), resolve.go waits for names,
// itself.go notices a connection that has met itself,
// lookups.go has names looked up off the loops (package lookup), as many at once as the budget of descriptors has places for (admission.go), forward.go
// writes the head with the port's credentials, transfer.go has the content moved, response.go the response,
// login.go hears what a provider says that does not take our credentials (package verdict), and
// waiting.go knows how long an answer is waited for on behalf of a client that has ended its side. A CONNECT that is
// granted, and an upgrade, become a tunnel (tunnel.go): two directions that know nothing of each other. What a sink does
// not take is kept in its direction (socket.go), and while there is any, the source is not read. So at most one buffer or
// one pipe of unsent bytes exists for each direction, whoever stalls. One pump moves them all (move.go): it says why it has
// paused, and the transfer what that means. framed.go knows where a message ends.
//
// What requests are served by is a port's mapping (mapping.go), with the upstream servers that it has (proxies.go) and what all
// ports have in common (setup.go). A connection takes it once for each request, and keeps it until the next one: so a port may
// take another mapping at any moment (swap.go), and no request is served by two.
//
// A peer that has vanished is noticed by TCP keep-alive, of which an upstream connection must have stood for a while (keepalive.go).
//
// Bytes that come in bulk are spliced (splice.go). The streams of a loop take turns, and between two of them the loop
// looks at what else has come (loop.go: turnBudget).
//
// For each port a loop keeps a list of the connections that belong to its sessions (roster.go). What rotations want of
// these comes to the loops in errands, one at a time for all ports together (errand.go), and rotate.go says what becomes of
// each connection. A loop that cuts many has other loops close their descriptors (share.go).
//
// A connection belongs to one loop at a time. Connections gather on as few loops as keep up (gather.go), and what one
// loop has for another goes through that one's mailbox (mailbox.go), and so does the question whether it still turns (pulse.go). When a burst is over its tables are made
// small again, and the process is told (memory.go). What it all comes to is counted by each loop for itself and summed up for who asks (counters.go,
// hosts.go).
//
// It may import httpparse, session and what is under them, the packages under relay, x/sys for the names of errors, x/net's
// idna for hosts that are not ASCII, and a pool of buffers. It never parses a message by hand, and it never names a key of the settings: it reports which field of its own
// is at fault.
//
// # Stages
//
// One table says all that is particular to a stage (stages.go): its machine, its deadline, what events mean in it, and which stages
// may follow:
//
//	PROXY header  intake    Limits.Head        → idle, closed
//	idle          intake    Limits.Idle        → head, SOCKS, API content, dial, exchange, linger, closed
//	head          intake    Limits.Head        → API content, dial, exchange, linger, closed
//	SOCKS         intake    Limits.Head        → dial, exchange, linger, closed
//	API content   intake    Limits.Head        → API, exchange, linger, closed
//	API           intake    Limits.API         → exchange, linger, closed
//	dial          outbound  Limits.Dial        → dial, handshake, reply, exchange, tunnel, linger, closed
//	handshake     outbound  Limits.Reply       → exchange, tunnel, linger, closed
//	reply         transfer  Limits.Reply       → verdict, early, tunnel, linger, closed
//	verdict       transfer  verdictTime        → linger, closed
//	exchange      transfer  Limits.TunnelIdle  → idle, dial, verdict, exchange, early, tunnel, linger, closed
//	early         transfer  Limits.Reply       → linger, closed
//	tunnel        transfer  Limits.TunnelIdle  → half-closed, closed
//	half-closed   transfer  Limits.HalfClosed  → closed
//	linger        transfer  Limits.Linger      → closed
//
// # Who owns what
//
//	thing                owner                 ended by
//	listener             loop                  closeListeners
//	client's socket      conn                  conn.close
//	upstream socket      conn                  conn.closeUpstream
//	attempts beside it   conn                  outbound.endAttempt, attempts.endRivals
//	both, on their way   parcel                loop.unpack
//	both, cut by errand  loop, or a share      loop.closeDescriptors, share.giveTo
//	pipe                 loop, or a direction  direction.settle, direction.drop; closed if it holds bytes
//	pooled buffer        a buffer of conn      buffer.skip of its last byte, buffer.release
//	exchange             conn                  dropExchange, which gives it back to the loop
//	place in a roster    conn                  conn.leaveSession, conn.close, loop.giveAway, loop.discard
//	session              nobody                the garbage collector; it never changes
//
// Descriptors are closed at the loop's turn, behind the batch of events in which that was decided, so that no event of
// the batch can meet a descriptor that has taken its number. Every watch has a generation, which tells a stale event.
//
// # Notes
//
// November 2026, Linux 6.18, two cores; how to repeat them is in bench/README.md.
//
//   - Of a plain request's 12 us of CPU 87 % are the kernel's, of a request in a tunnel 95 %: four calls, each of which
//     carries a segment to the peer's socket on loopback.
//   - A head that is copied together and sent is cheaper than one gathered by writev(2), recv(2) and send(2) are cheaper
//     than read(2) and write(2): 2 to 3 % of a request each.
//   - The hand-over between loops does without gnet's queue, which allocates a node for each item.
//   - A raw wait is repeated for 20 ms before the ordinary one: the runtime's monitor, when it is woken from its sleep,
//     looks around every 20 us for a millisecond, which cost a third of paced bulk.
//
// # Where it departs from the letter of RFC 9110 and RFC 9112
//
// It is an intermediary that speaks to a proxy on behalf of clients that mean to speak to that proxy. So that the
// provider sees what the client sent, requests and responses pass as they came, to the byte, but for what is listed here:
//
//   - There is no Via (RFC 9110 section 7.6.3), and the HTTP version passes unchanged (RFC 9110 section 6.2: an
//     intermediary sends its own).
//   - Connection, Proxy-Connection and other hop-by-hop fields pass (RFC 9110 section 7.6.1). They are also obeyed: both
//     connections persist only if request and response let them.
//   - Max-Forwards passes to an HTTP proxy as it came, for that one counts (RFC 9110 section 7.6.2). It is counted where the
//     request goes to its target itself (maxforwards.go).
//   - The client's Proxy-Authorization is dropped, and the port's is put at the end of the field section.
//   - A Host that names another authority than the target is replaced (RFC 9112 section 3.2.2).
//   - An HTTP/1.1 request without Host is served if its target names the host, and gets one (RFC 9112 section 3.2: 400).
//     Whole tools leave it out of CONNECT, and it could change nothing: the target decides (section 3.2.2).
//   - User information and a fragment are cut off the target, instead of refused (RFC 9110 section 4.2.4 and 4.2.5): where
//     all readers agree about the host, nobody is misled.
//   - A Content-Length of 0 is taken off a CONNECT (RFC 9110 section 9.3.6).
//   - A target of the scheme ws is one of http. To an HTTP proxy it goes as it came, for that is what its client means to ask.
//   - Hosts in UTF-8 become A-labels (RFC 5890 section 2.3.2.1).
//   - What a 2xx to CONNECT says of content is taken out (RFC 9110 section 9.3.6: it means nothing). Any other answer to
//     CONNECT says Connection: close, for the connection ends.
//   - A chunked response to an HTTP/1.0 request goes out decoded (RFC 9112 section 7.1.3). One to a client of HTTP/1.0 that
//     means to use its connection again says keep-alive if that may, and never if it may not (section 9.3). No other transfer
//     coding goes to such a client (section 6.1): where there is content it gets 502, for it could not read it.
//   - Of requests what two readers could understand differently is refused: see package httpparse.
//   - Odd responses pass, for what the client would have had without us it gets, and an upstream connection has no other
//     client. They are put right where an RFC says so, or where what came would be refused by most; httpparse has the table.
//     Where their framing is in doubt both connections end after them, and the client is told.
//   - Chunks of responses pass as they came, with white space behind a size, LF alone and forbidden trailers (RFC 9112
//     section 7.1, RFC 9110 section 6.5.1).
//   - A response of HTTP/1.0 in chunks or another coding goes out as one of HTTP/1.1: the coding is read all the same (RFC 9112
//     section 6.1).
//   - The lines of a CONNECT may end with LF alone, and go upstream with CRLF (RFC 9112 section 2.2).
package relay
