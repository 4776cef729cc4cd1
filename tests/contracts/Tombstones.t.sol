// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {Grant} from "../../contracts/libraries/Grants.sol";
import {AuthorizationId, Outcome} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

/// @title A revocation that comes before its grant counts, and nobody else's does.
contract TombstonesTest is Fixture {
    function test_a_revocation_before_its_grant_refuses_the_grant() external {
        IAuthorizations.Authorization memory terms = _terms();
        AuthorizationId authorization = authorizations.authorizationId(terms);
        uint64 number = _emits(authorizations);
        emit IAuthorizations.Revoked(authorization, ALICE, number, keccak256(_account(ALICE_KEY)));
        _revoke(authorization);

        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertTrue(grant.isUnknown(), "no grant");
        _refusesGrant(terms, authorization);
        VM.warp(terms.deadline);
        _refusesGrant(terms, authorization); // for good
        _expectChained();
    }

    function test_a_revocation_before_its_grant_is_kept_once() external {
        AuthorizationId authorization = authorizations.authorizationId(_terms());
        _revoke(authorization);
        _refusesRevocation(ALICE_KEY, authorization, _alreadyRevoked(authorization));
    }

    function test_another_authorization_is_granted_all_the_same() external {
        _revoke(authorizations.authorizationId(_terms()));
        _expect(_use(_granted()), Outcome.Allowed);
    }

    /// @dev Anybody with an id of its own could block a stranger's grant otherwise.
    function test_another_persons_revocation_does_not_touch_the_grant() external {
        _enrol(BOB, _account(STRANGER_KEY));
        IAuthorizations.Authorization memory terms = _terms();
        AuthorizationId authorization = authorizations.authorizationId(terms);
        ISubjects.Approval memory approval =
            _by(STRANGER_KEY, Signed.revocation(BOB, authorization, _soon()));
        uint64 number = _emits(authorizations);
        emit IAuthorizations.Revoked(authorization, BOB, number, keccak256(approval.signer));
        authorizations.revoke(BOB, authorization, _soon(), approval);

        _grant(terms);
        _expect(_use(authorization), Outcome.Allowed);
        _revoke(authorization); // nor her own revocation
        _expect(_use(authorization), Outcome.Revoked);
        _expectChained();
    }

    function test_a_stranger_revokes_nothing_before_its_grant() external {
        AuthorizationId authorization = authorizations.authorizationId(_terms());
        _refusesRevocation(STRANGER_KEY, authorization, _unauthorized(STRANGER_KEY));
    }

    function test_a_revocation_before_its_grant_is_relayed_before_its_deadline() external {
        AuthorizationId authorization = authorizations.authorizationId(_terms());
        ISubjects.Approval memory approval = _byAlice(Signed.revocation(ALICE, authorization, START - 1));
        _refused(abi.encodeWithSelector(ISubjects.DeadlinePassed.selector, START - 1));
        authorizations.revoke(ALICE, authorization, START - 1, approval);
    }

    function test_who_may_stop_revokes_before_the_grant_too() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _rotate(ALICE_KEY, NEW_KEY);
        uint256[3] memory keys = [NEW_KEY, ALICE_KEY, GUARDIAN_KEY]; // current, replaced, former guardian
        for (uint256 i = 0; i < 3; ++i) {
            IAuthorizations.Authorization memory terms = _terms();
            AuthorizationId authorization = authorizations.authorizationId(terms);
            _revokeBy(keys[i], authorization);
            ISubjects.Approval memory approval = _by(NEW_KEY, Signed.authorization(terms));
            _refused(_alreadyRevoked(authorization));
            authorizations.grant(terms, approval);
        }
    }

    function test_nobody_can_stop_a_revocation_before_its_grant() external {
        AuthorizationId authorization = authorizations.authorizationId(_terms());
        _setFrozen(true);
        _shutEverythingDown();
        _revoke(authorization);
        _refusesRevocation(ALICE_KEY, authorization, _alreadyRevoked(authorization));
    }

    function _refusesGrant(IAuthorizations.Authorization memory terms, AuthorizationId authorization) private {
        ISubjects.Approval memory approval = _byAlice(Signed.authorization(terms));
        _refused(_alreadyRevoked(authorization));
        authorizations.grant(terms, approval);
    }

    function _refusesRevocation(uint256 key, AuthorizationId authorization, bytes memory reason) private {
        ISubjects.Approval memory approval = _by(key, Signed.revocation(ALICE, authorization, _soon()));
        _refused(reason);
        authorizations.revoke(ALICE, authorization, _soon(), approval);
    }

    function _alreadyRevoked(AuthorizationId authorization) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IAuthorizations.AlreadyRevoked.selector, authorization);
    }
}
