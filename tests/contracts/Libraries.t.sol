// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {Fields} from "../../contracts/libraries/Fields.sol";
import {AuthorizationId} from "../../contracts/libraries/Types.sol";
import {Uses} from "../../contracts/libraries/Uses.sol";
import {VM} from "./Vm.sol";

/// @title What stands where `Authorizations` should: it gives back what it was asked, or refuses.
contract Echo {
    error Refused(AuthorizationId authorization);

    function use(AuthorizationId authorization, uint256 terms, bytes32 item, bytes32 excess)
        external
        pure
        returns (uint256, uint256)
    {
        if (excess != 0) revert Refused(authorization);
        return (uint256(item), terms);
    }
}

contract LibrariesTest {
    Echo private immutable ECHO = new Echo();

    function testFuzz_a_use_is_asked_and_answered_word_by_word(
        AuthorizationId authorization,
        uint256 terms,
        bytes32 item
    ) external {
        (uint256 outcome, uint256 termsNumber) = this.use(authorization, terms, item, 0);
        VM.assertEq(outcome, uint256(item), "outcome");
        VM.assertEq(termsNumber, terms, "terms");
    }

    function test_a_refused_use_is_refused_with_the_same_reason() external {
        AuthorizationId authorization = AuthorizationId.wrap("authorization");
        VM.expectRevert(abi.encodeWithSelector(Echo.Refused.selector, authorization));
        this.use(authorization, 1, 0, bytes32(uint256(1)));
    }

    function use(AuthorizationId authorization, uint256 terms, bytes32 item, bytes32 excess)
        external
        returns (uint256, uint256)
    {
        return Uses.use(IAuthorizations(address(ECHO)), authorization, terms, item, excess);
    }

    function test_a_schema_has_none_one_or_all_of_its_fields() external pure {
        VM.assertEq(Fields.all(0), 0, "none");
        VM.assertEq(Fields.all(1), 1, "one");
        VM.assertEq(Fields.all(255), type(uint256).max >> 1, "255");
        VM.assertEq(Fields.all(256), type(uint256).max, "256");
    }

    function testFuzz_fields_are_within_when_none_is_outside(uint256 fields, uint256 bound) external pure {
        bool within = true;
        for (uint256 i = 0; i < 256; ++i) {
            if (fields >> i & 1 == 1 && bound >> i & 1 == 0) within = false;
        }
        VM.assertEq(Fields.within(fields, bound), within, "within");
        VM.assertTrue(Fields.within(fields & bound, bound), "what both have");
    }
}
