// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Game} from "./Game.sol";
import {VM} from "./Vm.sol";

/// @title Stop, rotate, recover, close: contract and model agree over random games.
/// @dev To run this file alone, name Game.sol beside it: Hardhat knows a target only by a file that it was told to compile.
contract GameTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Game private _game;

    function setUp() external {
        _game = new Game();
        _game.setUp();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_game);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_game), _game.acts());
    }

    function invariant_the_contract_does_what_the_table_says() external view {
        VM.assertEq(_game.differences(), 0, "differences");
    }

    function invariant_nobody_consents_before_a_stop_ends() external view {
        VM.assertEq(_game.broken(), 0, "broken");
    }

    // The control: the games are not of one kind.

    function test_a_game_has_every_act_taken_and_refused() external {
        bytes4[] memory selectors = _game.acts();
        for (uint256 i = 0; i < 2000; ++i) {
            uint256 seed = uint256(keccak256(abi.encode("act", i)));
            (bool done,) = address(_game).call(abi.encodeWithSelector(selectors[seed % selectors.length], seed >> 8));
            VM.assertTrue(done, "an act failed");
        }
        VM.assertEq(_game.differences(), 0, "differences");
        VM.assertEq(_game.broken(), 0, "broken");
        for (uint256 i = 0; i + 1 < selectors.length; ++i) { // all but the time's
            VM.assertTrue(_game.taken(selectors[i]) != 0, string.concat("taken ", VM.toString(i)));
            VM.assertTrue(_game.refused(selectors[i]) != 0, string.concat("refused ", VM.toString(i)));
        }
    }
}
