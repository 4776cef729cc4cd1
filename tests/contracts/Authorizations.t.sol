// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAgreements} from "../../contracts/interfaces/IAgreements.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {Grant} from "../../contracts/libraries/Grants.sol";
import {AuthorizationId, Class, DatasetId, Outcome, SubjectId} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

contract AuthorizationsTest is Fixture {
    AuthorizationId private constant NONE = AuthorizationId.wrap("none");
    SubjectId private constant NOBODY = SubjectId.wrap("nobody");

    // grant

    function test_only_a_known_person_grants() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.subject = NOBODY;
        _refusesGrant(terms, abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
    }

    function test_nothing_is_granted_while_the_person_is_halted() external {
        bytes memory halted = abi.encodeWithSelector(ISubjects.SubjectHalted.selector, ALICE);
        _setFrozen(true);
        _refusesGrant(_terms(), halted);
        _setFrozen(false);
        _startRecovery(_account(NEW_KEY));
        _refusesGrant(_terms(), halted);
        _close();
        _refusesGrant(_terms(), halted);
        _open(ALICE_KEY);
        _expect(_use(_granted()), Outcome.Allowed);
    }

    function test_a_grant_is_relayed_before_its_deadline() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.deadline = START - 1;
        _refusesGrant(terms, abi.encodeWithSelector(ISubjects.DeadlinePassed.selector, START - 1));
    }

    function test_a_grant_ends_after_its_start() external {
        IAuthorizations.Authorization memory terms = _terms();
        (terms.notBefore, terms.expiresAt) = (START + 1, START + 1);
        _refusesPeriod(terms);
    }

    function test_a_grant_ends_in_the_future() external {
        IAuthorizations.Authorization memory terms = _terms();
        (terms.notBefore, terms.expiresAt) = (START - 1, START);
        _refusesPeriod(terms);
    }

    function test_a_grant_ends_within_the_slots_seconds() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.expiresAt = uint64(type(uint32).max) + 1;
        _refusesPeriod(terms);
    }

    function test_a_grant_begins_within_a_day_of_the_block() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.notBefore = START + 1 days + 1;
        _refusesPeriod(terms);
        (terms.notBefore, terms.expiresAt) = (4_260_000_000, 4_260_086_400); // in 2105
        _refusesPeriod(terms);
        (terms.notBefore, terms.expiresAt) = (START + 1 days, START + 2 days);
        _expect(_use(_grant(terms)), Outcome.NotYetValid);
    }

    function test_a_grant_that_names_no_start_begins_with_its_block() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.notBefore = 0;
        AuthorizationId authorization = _grant(terms);
        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertEq(grant.notBefore(), 0, "notBefore");
        _expect(_use(authorization), Outcome.Allowed);
    }

    /// @dev Else a start in the past would make any validity, and one ahead would lengthen it.
    function test_validity_counts_from_the_later_of_start_and_block() external {
        bytes memory tooLong =
            abi.encodeWithSelector(IAgreements.ValidityOutOfBounds.selector, 90 days + 1, 90 days);
        uint64[3] memory starts = [0, START - 1 days, START];
        for (uint256 i = 0; i < 3; ++i) {
            IAuthorizations.Authorization memory terms = _terms();
            (terms.notBefore, terms.expiresAt) = (starts[i], START + 90 days + 1);
            _refusesGrant(terms, tooLong);
            terms.expiresAt = START + 90 days;
            _grant(terms);
        }
        IAuthorizations.Authorization memory ahead = _terms();
        (ahead.notBefore, ahead.expiresAt) = (START + 1 days, START + 91 days + 1);
        _refusesGrant(ahead, tooLong);
        ahead.expiresAt = START + 91 days;
        _grant(ahead);
    }

    function test_only_personal_data_are_granted() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.dataset = _register("roads", Class.Conditional, false);
        _refusesGrant(terms, abi.encodeWithSelector(IAuthorizations.DatasetNotPersonal.selector, terms.dataset));
    }

    function test_a_grant_is_within_the_agreement() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.fields = 0x1ff;
        _refusesGrant(
            terms, abi.encodeWithSelector(IAgreements.FieldsOutsideAgreement.selector, landForLoan, 0x1ff)
        );
    }

    function test_a_grant_is_within_the_purpose() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.expiresAt = terms.notBefore + 90 days + 1;
        _refusesGrant(
            terms, abi.encodeWithSelector(IAgreements.ValidityOutOfBounds.selector, 90 days + 1, 90 days)
        );
    }

    function test_a_grant_is_made_once_also_after_its_revocation() external {
        IAuthorizations.Authorization memory terms = _terms();
        AuthorizationId authorization = _grant(terms);
        _refusesGrant(terms, abi.encodeWithSelector(IAuthorizations.AlreadyGranted.selector, authorization));
        _revoke(authorization);
        _refusesGrant(terms, abi.encodeWithSelector(IAuthorizations.AlreadyGranted.selector, authorization));
    }

    function test_nobody_else_grants() external {
        IAuthorizations.Authorization memory terms = _terms();
        ISubjects.Approval memory approval = _by(STRANGER_KEY, Signed.authorization(terms));
        _refused(_unauthorized(STRANGER_KEY));
        authorizations.grant(terms, approval);
    }

    function test_what_was_signed_is_what_is_granted() external {
        IAuthorizations.Authorization memory terms = _terms();
        ISubjects.Approval memory approval = _byAlice(Signed.authorization(terms));
        terms.fields = 0x0f;
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, _account(ALICE_KEY)));
        authorizations.grant(terms, approval);
    }

    function test_anyone_relays_a_grant_and_its_whole_state_is_known() external {
        IAuthorizations.Authorization memory terms = _terms();
        (terms.item, terms.minInterval) = ("record", 60);
        ISubjects.Approval memory approval = _byAlice(Signed.authorization(terms));
        AuthorizationId expected = AuthorizationId.wrap(Signed.authorization(terms));
        uint64 number = _emits(authorizations);
        emit IAuthorizations.Granted(expected, ALICE, bank, number, terms, 1, 0, 0, keccak256(approval.signer));
        VM.prank(stranger);
        AuthorizationId authorization = authorizations.grant(terms, approval);

        VM.assertEq(AuthorizationId.unwrap(authorization), AuthorizationId.unwrap(expected), "id");
        (Grant grant, bool halted) = authorizations.grantOf(authorization);
        VM.assertTrue(!halted && !grant.revoked() && grant.itemBound(), "flags");
        VM.assertEq(grant.subject(), authorizations.subjectOf(ALICE).number, "subject");
        VM.assertEq(grant.notBefore(), terms.notBefore, "notBefore");
        VM.assertEq(grant.expiresAt(), terms.expiresAt, "expiresAt");
        VM.assertEq(grant.usesLeft(), 3, "uses");
        VM.assertEq(grant.epoch(), 0, "epoch");
        VM.assertEq(authorizations.itemOf(authorization), "record", "item");
        IAuthorizations.GrantTerms memory shared = authorizations.termsOf(grant.terms());
        VM.assertTrue(shared.agreement == 1 && shared.round == 0, "agreement and round");
        VM.assertEq(shared.fields, terms.fields, "fields");
        IAuthorizations.Authorization memory other = _terms();
        _expect(_use(_grant(other)), Outcome.Allowed);
        _expectChained();
    }

    function test_grants_on_the_same_terms_share_them() external {
        (Grant first,) = authorizations.grantOf(_granted());
        (Grant second,) = authorizations.grantOf(_granted());
        IAuthorizations.Authorization memory terms = _terms();
        terms.fields = 0x01;
        (Grant other,) = authorizations.grantOf(_grant(terms));
        VM.assertEq(first.terms(), second.terms(), "same");
        VM.assertTrue(first.terms() != other.terms(), "other");
    }

    function test_a_guardian_grants() external {
        _appoint(GUARDIAN_KEY, START + 1 days);
        IAuthorizations.Authorization memory terms = _terms();
        ISubjects.Approval memory approval = _by(GUARDIAN_KEY, Signed.authorization(terms));
        _expect(_use(authorizations.grant(terms, approval)), Outcome.Allowed);
    }

    function test_an_unknown_authorization_is_all_zero() external view {
        (Grant grant, bool halted) = authorizations.grantOf(NONE);
        VM.assertTrue(grant.isUnknown() && !halted, "state");
        VM.assertEq(authorizations.itemOf(NONE), 0, "item");
    }

    // revoke

    function test_only_a_known_person_revokes() external {
        AuthorizationId authorization = _granted();
        ISubjects.Approval memory approval = _byAlice(Signed.revocation(NOBODY, authorization, _soon()));
        _refused(abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
        authorizations.revoke(NOBODY, authorization, _soon(), approval);
    }

    function test_only_ones_own_authorization_is_revoked() external {
        AuthorizationId authorization = _granted();
        _enrol(BOB, _account(STRANGER_KEY));
        ISubjects.Approval memory approval =
            _by(STRANGER_KEY, Signed.revocation(BOB, authorization, _soon()));
        _refused(abi.encodeWithSelector(IAuthorizations.SubjectMismatch.selector, authorization, BOB));
        authorizations.revoke(BOB, authorization, _soon(), approval);
    }

    function test_an_authorization_is_revoked_once() external {
        AuthorizationId authorization = _granted();
        _revoke(authorization);
        _refusesRevocation(
            authorization,
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(IAuthorizations.AlreadyRevoked.selector, authorization)
        );
    }

    function test_a_revocation_is_relayed_before_its_deadline() external {
        _refusesRevocation(
            _granted(),
            START - 1,
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.DeadlinePassed.selector, START - 1)
        );
    }

    function test_nobody_else_revokes() external {
        _refusesRevocation(_granted(), _soon(), STRANGER_KEY, _unauthorized(STRANGER_KEY));
    }

    function test_a_revocation_is_not_signed_by_another_key() external {
        AuthorizationId authorization = _granted();
        ISubjects.Approval memory approval =
            _by(STRANGER_KEY, Signed.revocation(ALICE, authorization, _soon()));
        approval.signer = _account(ALICE_KEY);
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, approval.signer));
        authorizations.revoke(ALICE, authorization, _soon(), approval);
    }

    function test_a_revoked_authorization_is_denied_from_the_next_block() external {
        AuthorizationId authorization = _granted();
        _expect(_use(authorization), Outcome.Allowed);
        ISubjects.Approval memory approval = _byAlice(Signed.revocation(ALICE, authorization, _soon()));
        uint64 number = _emits(authorizations);
        emit IAuthorizations.Revoked(authorization, ALICE, number, keccak256(approval.signer));
        VM.prank(stranger);
        authorizations.revoke(ALICE, authorization, _soon(), approval);

        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertTrue(grant.revoked(), "revoked");
        VM.assertEq(grant.usesLeft(), 2, "uses");
        VM.roll(block.number + 1);
        _expect(_use(authorization), Outcome.Revoked);
        _expectChained();
    }

    function test_a_guardian_revokes() external {
        AuthorizationId authorization = _granted();
        _appoint(GUARDIAN_KEY, START + 1 days);
        _revokeBy(GUARDIAN_KEY, authorization);
        _expect(_use(authorization), Outcome.Revoked);
    }

    function test_nobody_can_stop_a_revocation() external {
        AuthorizationId authorization = _granted();
        _shutEverythingDown();
        _revoke(authorization);
        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertTrue(grant.revoked(), "revoked");
    }

    function test_the_old_key_revokes_after_a_recovery() external {
        AuthorizationId authorization = _granted();
        _recover();
        _revoke(authorization);
        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertTrue(grant.revoked(), "revoked");
    }

    function test_the_old_key_revokes_also_what_the_new_key_confirmed() external {
        AuthorizationId authorization = _granted();
        _recover();
        _confirmBy(NEW_KEY, authorization);
        _expect(_use(authorization), Outcome.Allowed);
        _revoke(authorization);
        _expect(_use(authorization), Outcome.Revoked);
    }

    function test_the_old_key_revokes_what_the_new_key_granted_for_a_year() external {
        _recover();
        uint64 end = _now() + 365 days;
        AuthorizationId first = _grantedBy(NEW_KEY);
        AuthorizationId second = _grantedBy(NEW_KEY);
        VM.warp(end - 1);
        _revoke(first);
        (Grant grant,) = authorizations.grantOf(first);
        VM.assertTrue(grant.revoked(), "revoked");
        VM.warp(end);
        _refusesRevocation(second, _soon(), ALICE_KEY, _unauthorized(ALICE_KEY));
    }

    function test_a_key_that_was_rotated_revokes_for_thirty_days() external {
        _rotate(ALICE_KEY, NEW_KEY);
        VM.warp(START + 30 days - 1);
        AuthorizationId first = _grantedBy(NEW_KEY);
        AuthorizationId second = _grantedBy(NEW_KEY);
        _revoke(first);
        _expect(_use(first), Outcome.Revoked);
        VM.warp(START + 30 days);
        _refusesRevocation(second, _soon(), ALICE_KEY, _unauthorized(ALICE_KEY));
    }

    function test_each_key_of_two_recoveries_revokes_everything_in_its_time() external {
        AuthorizationId first = _granted();
        _recover();
        AuthorizationId second = _grantedBy(NEW_KEY);
        _startRecovery(_account(STRANGER_KEY));
        VM.warp(_now() + RECOVERY_DELAY);
        authorizations.completeRecovery(ALICE);
        AuthorizationId third = _grantedBy(STRANGER_KEY);

        _revokeBy(NEW_KEY, first);
        _revokeBy(ALICE_KEY, second);
        _revokeBy(NEW_KEY, third);
        _expect(_use(third), Outcome.Revoked);
    }

    function test_the_new_key_revokes_what_the_old_key_granted() external {
        AuthorizationId authorization = _granted();
        _recover();
        _revokeBy(NEW_KEY, authorization);
        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertTrue(grant.revoked(), "revoked");
    }

    function test_the_old_key_does_not_start_anything_after_a_recovery() external {
        AuthorizationId authorization = _granted();
        _recover();
        IAuthorizations.Authorization memory terms = _terms();
        ISubjects.Approval memory approval = _byAlice(Signed.authorization(terms));
        _refused(_unauthorized(ALICE_KEY));
        authorizations.grant(terms, approval);
        _refusesConfirmation(authorization, _soon(), ALICE_KEY, _unauthorized(ALICE_KEY));
    }

    function test_what_the_old_key_signed_is_not_granted_after_a_recovery() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.deadline = START + 30 days;
        ISubjects.Approval memory approval = _byAlice(Signed.authorization(terms));
        _recover();
        _refused(_unauthorized(ALICE_KEY));
        authorizations.grant(terms, approval);
    }

    // confirm

    function test_only_a_known_authorization_is_confirmed() external {
        _refusesConfirmation(
            NONE, _soon(), ALICE_KEY, abi.encodeWithSelector(IAuthorizations.AuthorizationUnknown.selector, NONE)
        );
    }

    function test_nothing_is_confirmed_while_frozen_or_closed() external {
        AuthorizationId authorization = _granted();
        _recover();
        bytes memory halted = abi.encodeWithSelector(ISubjects.SubjectHalted.selector, ALICE);
        _setFrozenBy(NEW_KEY, true);
        _refusesConfirmation(authorization, _soon(), NEW_KEY, halted);
        _setFrozenBy(NEW_KEY, false);
        _close();
        _refusesConfirmation(authorization, _soon(), NEW_KEY, halted);
        _open(NEW_KEY);
        _confirmBy(NEW_KEY, authorization);
        _expect(_use(authorization), Outcome.Allowed);
    }

    function test_only_ones_own_authorization_is_confirmed() external {
        AuthorizationId authorization = _granted();
        _enrol(BOB, _account(STRANGER_KEY));
        ISubjects.Approval memory approval =
            _by(STRANGER_KEY, Signed.confirmation(BOB, authorization, _soon()));
        _refused(abi.encodeWithSelector(IAuthorizations.SubjectMismatch.selector, authorization, BOB));
        authorizations.confirm(BOB, authorization, _soon(), approval);
    }

    function test_nothing_is_confirmed_during_a_recovery() external {
        AuthorizationId authorization = _granted();
        _startRecovery(_account(NEW_KEY));
        _refusesConfirmation(
            authorization,
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.SubjectHalted.selector, ALICE)
        );
    }

    function test_a_revoked_authorization_is_not_confirmed() external {
        AuthorizationId authorization = _granted();
        _recover();
        _revoke(authorization);
        _refusesConfirmation(
            authorization,
            _soon(),
            NEW_KEY,
            abi.encodeWithSelector(IAuthorizations.AlreadyRevoked.selector, authorization)
        );
    }

    function test_what_counts_needs_no_confirmation() external {
        AuthorizationId authorization = _granted();
        _refusesConfirmation(
            authorization,
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(IAuthorizations.AlreadyConfirmed.selector, authorization)
        );
    }

    function test_a_confirmation_is_relayed_before_its_deadline() external {
        AuthorizationId authorization = _granted();
        _recover();
        _refusesConfirmation(
            authorization,
            START,
            NEW_KEY,
            abi.encodeWithSelector(ISubjects.DeadlinePassed.selector, START)
        );
    }

    function test_a_confirmation_is_not_replayed_after_the_next_recovery() external {
        AuthorizationId authorization = _granted();
        _recover();
        uint64 deadline = _now() + 30 days;
        bytes32 structHash = Signed.confirmation(ALICE, authorization, deadline);
        ISubjects.Approval memory approval = _by(NEW_KEY, structHash);
        authorizations.confirm(ALICE, authorization, deadline, approval);
        _recover(); // to the same key

        bytes32 digest = Signed.digest(address(authorizations), structHash);
        _refused(abi.encodeWithSelector(ISubjects.AlreadyUsed.selector, digest));
        authorizations.confirm(ALICE, authorization, deadline, approval);
    }

    function test_the_new_key_confirms_what_the_old_key_granted() external {
        AuthorizationId authorization = _granted();
        _recover();
        _expect(_use(authorization), Outcome.Frozen);
        uint64 number = _emits(authorizations);
        emit IAuthorizations.Confirmed(authorization, ALICE, number, 1, keccak256(_account(NEW_KEY)));
        _confirmBy(NEW_KEY, authorization);

        (Grant grant, bool halted) = authorizations.grantOf(authorization);
        VM.assertTrue(!halted, "halted");
        VM.assertEq(grant.epoch(), 1, "epoch");
        _expect(_use(authorization), Outcome.Allowed);
        _expectChained();
    }

    function test_the_first_key_revokes_after_two_recoveries_and_confirmations() external {
        AuthorizationId authorization = _granted();
        _recover();
        _confirmBy(NEW_KEY, authorization);
        _recover();
        _confirmBy(NEW_KEY, authorization);
        _revoke(authorization);
        (Grant grant,) = authorizations.grantOf(authorization);
        VM.assertTrue(grant.revoked(), "revoked");
    }

    // use

    function test_only_the_access_log_counts_uses() external {
        AuthorizationId authorization = _granted();
        (Grant grant,) = authorizations.grantOf(authorization);
        _refused(abi.encodeWithSelector(IAuthorizations.NotAccessLog.selector, recorder));
        VM.prank(recorder);
        authorizations.use(authorization, grant.terms(), 0, 0);
    }

    function test_nothing_is_counted_on_other_terms() external {
        AuthorizationId authorization = _granted();
        (Grant grant,) = authorizations.grantOf(authorization);
        VM.prank(address(accessLog));
        (uint256 outcome, uint256 terms) = authorizations.use(authorization, grant.terms() + 1, 0, 0);
        (Grant after_,) = authorizations.grantOf(authorization);
        VM.assertTrue(outcome != uint256(Outcome.Allowed), "outcome");
        VM.assertEq(terms, grant.terms(), "terms");
        VM.assertEq(Grant.unwrap(after_), Grant.unwrap(grant), "state");
    }

    function testFuzz_the_id_is_the_struct_hash(IAuthorizations.Authorization memory terms) external view {
        VM.assertEq(
            AuthorizationId.unwrap(authorizations.authorizationId(terms)), Signed.authorization(terms), "id"
        );
    }

    function testFuzz_a_grant_within_bounds_is_kept_as_signed(
        uint256 fields,
        uint32 validity,
        uint32 maxUses,
        uint32 minInterval,
        bytes32 item
    ) external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.fields = 1 + fields % AGREED_FIELDS;
        terms.expiresAt = terms.notBefore + 1 + validity % 90 days;
        terms.maxUses = 1 + maxUses % 5;
        (terms.minInterval, terms.item) = (minInterval, item);
        (Grant grant,) = authorizations.grantOf(_grant(terms));

        VM.assertEq(grant.expiresAt(), terms.expiresAt, "expiresAt");
        VM.assertEq(grant.usesLeft(), terms.maxUses, "uses");
        VM.assertEq(grant.itemBound(), item != 0, "item");
        VM.assertEq(authorizations.termsOf(grant.terms()).fields, terms.fields, "fields");
    }

    function _grantedBy(uint256 key) private returns (AuthorizationId) {
        IAuthorizations.Authorization memory terms = _terms();
        return authorizations.grant(terms, _by(key, Signed.authorization(terms)));
    }

    function _confirmBy(uint256 key, AuthorizationId authorization) private {
        ISubjects.Approval memory approval = _by(key, Signed.confirmation(ALICE, authorization, _soon()));
        authorizations.confirm(ALICE, authorization, _soon(), approval);
    }

    function test_a_deadline_fits_its_five_bytes() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.deadline = uint64(type(uint40).max) + 1;
        _refusesGrant(terms, abi.encodeWithSelector(ISubjects.DeadlineTooLarge.selector, terms.deadline));
        terms.deadline = type(uint40).max;
        _expect(_use(_grant(terms)), Outcome.Allowed);
    }

    function _refusesGrant(IAuthorizations.Authorization memory terms, bytes memory reason) private {
        ISubjects.Approval memory approval = _byAlice(Signed.authorization(terms));
        _refused(reason);
        authorizations.grant(terms, approval);
    }

    function _refusesPeriod(IAuthorizations.Authorization memory terms) private {
        _refusesGrant(
            terms,
            abi.encodeWithSelector(IAuthorizations.PeriodInvalid.selector, terms.notBefore, terms.expiresAt)
        );
    }

    function _refusesRevocation(
        AuthorizationId authorization,
        uint64 deadline,
        uint256 key,
        bytes memory reason
    ) private {
        ISubjects.Approval memory approval = _by(key, Signed.revocation(ALICE, authorization, deadline));
        _refused(reason);
        authorizations.revoke(ALICE, authorization, deadline, approval);
    }

    function _refusesConfirmation(
        AuthorizationId authorization,
        uint64 deadline,
        uint256 key,
        bytes memory reason
    ) private {
        ISubjects.Approval memory approval = _by(key, Signed.confirmation(ALICE, authorization, deadline));
        _refused(reason);
        authorizations.confirm(ALICE, authorization, deadline, approval);
    }
}
