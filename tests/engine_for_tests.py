"""A UCI engine for tests: it counts material after a move, at any depth, and does what its name says.

Run as a program: `engine_for_tests.py [dies|silent|slow|bounds|one|torn]`.
"""

import sys
import time

VALUES = {1: 100, 2: 300, 3: 310, 4: 500, 5: 900, 6: 0}


def main():
    import chess

    manner, board = sys.argv[1] if len(sys.argv) > 1 else "", chess.Board()
    for line in sys.stdin:
        words = line.split()
        if words[0] == "uci":
            print("id name Counter 1.0\nuciok")
        elif words[0] == "isready":
            print("readyok")
        elif words[0] == "position":
            at = words.index("moves") if "moves" in words else len(words)
            board = chess.Board(" ".join(words[2:at])) if words[1] == "fen" else chess.Board()
            for move in words[at + 1 :]:
                board.push_uci(move)
        elif words[0] == "go":
            if manner == "dies":
                return
            if manner != "silent":
                _go(chess, board, words[2], manner)
        elif words[0] == "quit":
            return
        sys.stdout.flush()


def _go(chess, board, depth, manner):
    best = None
    for number, move in enumerate(sorted(board.legal_moves, key=chess.Move.uci), 1):
        board.push(move)
        count = sum(VALUES[p.piece_type] * (1 if p.color else -1) for p in board.piece_map().values())
        score = "mate 1" if board.is_checkmate() else f"cp {-count if board.turn else count}"
        board.pop()
        head = f"info depth {depth} seldepth 1 multipv {number}"
        if manner == "torn" and number > 1:
            ends = "score cp", f"score cp x pv {move.uci()}", "score cp 1 pv"
            print(f"{head} {ends[number % 3]}")
            continue
        if manner == "one" and best:
            break
        if manner == "bounds":
            print(f"{head} score cp 9999 lowerbound nodes 1 pv {move.uci()}")
        print(f"{head} score {score} nodes 1 pv {move.uci()}")
        best = best or move
        if manner == "slow":
            sys.stdout.flush()
            time.sleep(0.1)
    print(f"bestmove {best.uci() if best else '(none)'}")


if __name__ == "__main__":
    main()
