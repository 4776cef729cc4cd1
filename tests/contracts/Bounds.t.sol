// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAgreements} from "../../contracts/interfaces/IAgreements.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ICatalogue} from "../../contracts/interfaces/ICatalogue.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Texts} from "../../contracts/libraries/Texts.sol";
import {ApplicationId, Class, OrderId, Role} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

/// @title Everything that a party can write has a bound: taken at the bound, refused one byte over it.
contract BoundsTest is Fixture {
    uint256 private constant NAME = 800;
    uint256 private constant PROSE = 8_000;

    /// @dev What a test writes, with a text of the length that it is asked for.
    function(string memory) internal private _write;

    // names, titles, codes

    function test_a_partys_name() external {
        _bounded(_admitAs, NAME);
    }

    function test_the_name_of_a_party_that_waits() external {
        _bounded(_announceAs, NAME);
    }

    function test_a_founders_name() external {
        this.found(_text(NAME));
        _refused(_tooLong(NAME));
        this.found(_text(NAME + 1));
    }

    function test_a_contracts_name() external {
        _bounded(_announceContract, NAME);
    }

    function test_a_datasets_code() external {
        _bounded(_registerCode, NAME);
    }

    function test_a_datasets_title() external {
        _bounded(_registerTitle, NAME);
    }

    function test_a_fields_name() external {
        _bounded(_registerField, NAME);
    }

    function test_a_purposes_code() external {
        _bounded(_registerPurposeCode, NAME);
    }

    function test_a_texts_language() external {
        _bounded(_registerLanguage, NAME);
    }

    // reasons, appeals, findings, justifications

    function test_a_purposes_text() external {
        _bounded(_registerTemplate, PROSE);
    }

    function test_a_purpose_has_eight_texts_at_most() external {
        IAgreements.PurposeTerms memory terms = _purposeTerms("tax");
        terms.texts = new IAgreements.Text[](9);
        _refused(abi.encodeWithSelector(IAgreements.TextsTooMany.selector, 9));
        VM.prank(authority);
        agreements.registerPurpose(terms);
        terms.texts = new IAgreements.Text[](8);
        VM.prank(authority);
        agreements.registerPurpose(terms);
    }

    function test_the_reason_of_a_restriction() external {
        _bounded(_restrict, PROSE);
    }

    function test_an_appeal() external {
        _restrict("too much, too fast");
        _bounded(_appeal, PROSE);
    }

    function test_the_reason_of_lifting() external {
        _bounded(_liftRestriction, PROSE);
    }

    function test_the_reason_of_a_veto() external {
        _bounded(_vetoAnnounced, PROSE);
    }

    function test_the_reason_of_a_veto_of_a_change() external {
        _bounded(_vetoChange, PROSE);
    }

    function test_the_reason_of_reclassifying() external {
        _bounded(_reclassify, PROSE);
    }

    function test_the_reason_of_withdrawing_a_dataset() external {
        _bounded(_withdrawDataset, PROSE);
    }

    function test_the_reason_of_an_order() external {
        _bounded(_issueFor, PROSE);
    }

    function test_the_reason_of_ending_an_order() external {
        _bounded(_endOrder, PROSE);
    }

    function test_the_findings_of_a_review() external {
        _bounded(_reviewOrder, PROSE);
    }

    function test_a_justification() external {
        _bounded(_apply, PROSE);
    }

    function test_the_reason_of_declining() external {
        _bounded(_decline, PROSE);
    }

    function test_the_reason_of_withdrawing_an_agreement() external {
        _bounded(_withdrawAgreement, PROSE);
    }

    function test_the_reason_of_a_suspension() external {
        _bounded(_suspend, PROSE);
    }

    function test_the_findings_about_a_suspension() external {
        _bounded(_reviewSuspension, PROSE);
    }

    function test_the_reason_of_giving_a_use_back() external {
        _bounded(_void, PROSE);
    }

    // others

    function test_an_encryption_key() external {
        _bounded(_setEncryptionKey, 2_000);
    }

    function test_a_confidentiality_agreement() external {
        _bounded(_signText, 64_000);
    }

    function test_a_dataset_of_256_longest_names_is_taken() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("wide", Class.Conditional, true);
        terms.fields = new string[](256);
        for (uint256 i = 0; i < 256; ++i) {
            bytes memory name = bytes(_text(NAME));
            name[0] = bytes1(uint8(i));
            terms.fields[i] = string(name);
        }
        VM.prank(provider);
        VM.assertEq(catalogue.datasetOf(catalogue.registerDataset(terms)).fieldCount, 256, "fields");
    }

    /// @dev The contracts bound lengths and not what a text says: that is for whoever shows or stores it.
    function test_any_bytes_are_taken() external {
        bytes memory any = new bytes(256);
        for (uint256 i = 0; i < 256; ++i) {
            any[i] = bytes1(uint8(i));
        }
        _admitAs(string(any));
        _restrict(string(any));
        _appeal(string(any));
        _expectChained();
    }

    function _bounded(function(string memory) internal write, uint256 bound) private {
        uint256 before = VM.snapshotState();
        write(_text(bound));
        VM.revertToState(before);
        _write = write;
        _refused(_tooLong(bound));
        this.writeNow(_text(bound + 1));
    }

    /// @dev By a call of its own, so that what a text needs first is not what is refused.
    function writeNow(string calldata text) external {
        _write(text);
    }

    function found(string calldata name) external {
        IRegistry.Founder[] memory founders = new IRegistry.Founder[](1);
        founders[0] = IRegistry.Founder(regulator, _bit(Role.Regulator), name);
        _create("Registry", abi.encode(authority, true, uint64(0), founders, new address[](0)));
    }

    function _admitAs(string memory name) private {
        VM.prank(authority);
        registry.admit(stranger, 1, name);
    }

    function _announceAs(string memory name) private {
        VM.prank(authority);
        registry.admit(stranger, _bit(Role.Regulator), name);
    }

    function _announceContract(string memory name) private {
        VM.prank(authority);
        registry.announce(name, address(accessLog));
    }

    function _registerCode(string memory code) private {
        _register(code, Class.Conditional, true);
    }

    function _registerTitle(string memory title) private {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Conditional, true);
        terms.title = title;
        VM.prank(provider);
        catalogue.registerDataset(terms);
    }

    function _registerField(string memory name) private {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("roads", Class.Conditional, true);
        terms.fields[11] = name;
        VM.prank(provider);
        catalogue.registerDataset(terms);
    }

    function _registerPurposeCode(string memory code) private {
        VM.prank(authority);
        agreements.registerPurpose(_purposeTerms(code));
    }

    function _registerLanguage(string memory language) private {
        IAgreements.PurposeTerms memory terms = _purposeTerms("tax");
        terms.texts[1].language = language;
        VM.prank(authority);
        agreements.registerPurpose(terms);
    }

    function _registerTemplate(string memory template) private {
        IAgreements.PurposeTerms memory terms = _purposeTerms("tax");
        terms.texts[1].template = template;
        VM.prank(authority);
        agreements.registerPurpose(terms);
    }

    function _restrict(string memory reason) private {
        VM.prank(regulator);
        registry.restrict(bank, _now() + 1, reason);
    }

    function _appeal(string memory statement) private {
        VM.prank(bank);
        registry.appeal(statement);
    }

    function _liftRestriction(string memory reason) private {
        _restrict("too much, too fast");
        VM.prank(regulator);
        registry.lift(bank, reason);
    }

    function _vetoAnnounced(string memory reason) private {
        _announceAs("Audit Office");
        VM.prank(regulator);
        registry.vetoAdmission(stranger, reason);
    }

    function _vetoChange(string memory reason) private {
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Authority, stranger, address(0));
        VM.prank(regulator);
        registry.vetoChange(IRegistry.Change.Authority, stranger, address(0), reason);
    }

    function _reclassify(string memory reason) private {
        VM.prank(provider);
        catalogue.reclassify(land, Class.NotShared, Class.NotShared, 3, reason);
    }

    function _withdrawDataset(string memory reason) private {
        VM.prank(provider);
        catalogue.withdrawDataset(land, reason);
    }

    function _issueFor(string memory reason) private {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        terms.reason = reason;
        _issue(terms);
    }

    function _endOrder(string memory reason) private {
        OrderId order = _order(land, Class.Conditional);
        VM.prank(authority);
        catalogue.endOrder(order, reason);
    }

    function _reviewOrder(string memory findings) private {
        OrderId order = _order(land, Class.Conditional);
        VM.prank(authority);
        catalogue.endOrder(order, "the water is gone");
        VM.prank(regulator);
        catalogue.reviewOrder(order, findings);
    }

    function _apply(string memory justification) private {
        VM.prank(bank);
        agreements.applyFor(land, loan, 1, justification, 0);
    }

    function _decline(string memory reason) private {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 1);
        VM.prank(provider);
        agreements.decline(application, reason);
    }

    function _withdrawAgreement(string memory reason) private {
        VM.prank(bank);
        agreements.withdrawAgreement(landForLoan, reason);
    }

    function _suspend(string memory reason) private {
        VM.prank(regulator);
        agreements.appointSupervisor(stranger);
        VM.prank(stranger);
        agreements.suspendAgreement(landForLoan, reason);
    }

    function _reviewSuspension(string memory findings) private {
        _suspend("too much, too fast");
        VM.prank(regulator);
        agreements.reviewSuspension(landForLoan, 0, findings);
    }

    function _void(string memory reason) private {
        IAuthorizations.Authorization memory terms = _terms();
        _use(_grant(terms));
        VM.prank(regulator);
        authorizations.voidAccess(1, terms, uint32(block.timestamp), 0, IAuthorizations.VoidGround.Unsigned, reason);
    }

    function _setEncryptionKey(string memory key) private {
        VM.prank(bank);
        registry.setEncryptionKey(bytes(key));
    }

    function _signText(string memory text) private {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 1);
        bytes32 structHash = Signed.confidentiality(insurer, application, text, "nonce", _soon());
        bytes memory signature = _sign(INSURER_KEY, Signed.digest(address(agreements), structHash));
        agreements.signConfidentiality(insurer, application, text, "nonce", _soon(), signature);
    }

    function _text(uint256 length) private pure returns (string memory) {
        return string(new bytes(length));
    }

    function _tooLong(uint256 bound) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Texts.TooLong.selector, bound + 1, bound);
    }
}
