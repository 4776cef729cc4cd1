// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Role} from "../libraries/Types.sol";
import {INumbered} from "./INumbered.sol";

/// @title Who? Parties, their roles, status, recorders, encryption keys and restrictions.
/// @notice The authority admits parties and withdraws them. What would give it power over the others - a regulator, an identity
/// authority and its successor, a verifier of signatures, the authority itself - is announced first, takes effect after the admission delay,
/// and can be vetoed by a regulator until then. Once due it can be taken for as long as the admission delay, an hour at least, and lapses then.
/// Regulators restrict consumers for a time, with a reason; the consumer may appeal; a
/// regulator may lift.
/// @dev A withdrawn regulator keeps its veto, and nothing else, for the admission delay: the authority cannot first withdraw who would object.
/// The last active regulator cannot be withdrawn, holds no other role and is never the authority itself.
/// @dev A thief of the authority's key is outlived by a hand-over: what is announced cannot be announced again to put it off, and a hand-over
/// cannot be retracted. What an authority announced ends with its term, the rightful with the wrong.
/// @dev Warning: names, reasons and appeals are public for ever. They must not name a natural person.
interface IRegistry is INumbered {
    /// @dev Changes that are announced, beside admissions. `first` and `second` are what they are about.
    /// Authority: the next authority, zero. Verifier: the verifier, zero. Successor: an identity authority, and who acts for the
    /// subjects that it registered.
    enum Change {
        Authority,
        Verifier,
        Successor
    }

    /// @dev A party that is there from the deployment on.
    struct Founder {
        address party;
        uint8 roles;
        string name;
    }

    /// @param roles Set of roles, bit `1 << uint8(role)` each; zero for an address never admitted.
    /// @param active Whether the party is admitted now.
    /// @param restrictedUntil Second until which (exclusive) accesses are denied; zero when never restricted.
    /// @param recorder The first recorder that the party named; zero for none. In this slot, because every access reads it.
    struct Standing {
        uint8 roles;
        bool active;
        uint64 restrictedUntil;
        address recorder;
    }

    /// @param effectiveAt Second from which it can be activated; zero for none pending.
    struct Admission {
        uint8 roles;
        uint64 effectiveAt;
        string name;
    }

    event PartyAdmitted(address indexed party, uint64 number, uint8 roles, string name);
    event AdmissionAnnounced(address indexed party, uint64 number, uint8 roles, string name, uint64 effectiveAt);
    event AdmissionVetoed(address indexed party, address indexed regulator, uint64 number, string reason);
    event AdmissionRetracted(address indexed party, uint64 number);
    event PartyWithdrawn(address indexed party, uint64 number);
    event ChangeAnnounced(
        Change indexed change, address indexed first, address indexed second, uint64 number, uint64 effectiveAt
    );
    event ChangeVetoed(
        Change indexed change,
        address indexed first,
        address indexed second,
        uint64 number,
        address regulator,
        string reason
    );
    event ChangeRetracted(Change indexed change, address indexed first, address indexed second, uint64 number);
    event ChangeMade(Change indexed change, address indexed first, address indexed second, uint64 number);
    event RecorderNamed(address indexed consumer, address indexed recorder, uint64 number);
    event RecorderDismissed(address indexed consumer, address indexed recorder, uint64 number);
    event EncryptionKeySet(address indexed party, uint64 number, bytes key);
    event ConsumerRestricted(
        address indexed consumer, address indexed regulator, uint64 number, uint64 until, string reason
    );
    event RestrictionAppealed(address indexed consumer, uint64 number, string statement);
    event RestrictionLifted(address indexed consumer, address indexed regulator, uint64 number, string reason);
    event ContractAnnounced(address indexed deployed, uint64 number, string name);

    /// @dev At deployment, where it is no trial.
    error AdmissionDelayTooShort(uint64 admissionDelay);
    error RegulatorsTooFew(uint256 regulators);
    error NotAuthority(address caller);
    error NoRoles(address party);
    error UnknownRoles(uint8 roles);
    /// @dev A regulator holds no other role and is not the authority.
    error RegulatorNotIndependent(address party);
    /// @dev Who ties ids to persons' records neither publishes nor reads any.
    error IdentityAuthorityNotIndependent(address party);
    error LastRegulator(address party);
    error EmptyName();
    /// @dev A name stays its first party's for ever.
    error NameTaken(string name, address party);
    error PartyUnknown(address party);
    error PartyInactive(address party);
    error RoleMissing(address party, Role role);
    error NoVeto(address caller);
    error NotAnnounced();
    /// @dev The same change, or some admission of the same party, is pending.
    error AlreadyAnnounced(uint64 effectiveAt);
    /// @dev It was due then, and nobody took it in time.
    error Lapsed(uint64 effectiveAt);
    error AlreadyAuthority(address authority);
    /// @dev Only a regulator stops it, or its lapse.
    error HandOverStands(address next);
    error NotEffectiveYet(uint64 effectiveAt);
    error AlreadyEffective(uint64 effectiveAt);
    error AlreadyNamed(address recorder);
    error NotNamed(address recorder);
    error EmptyEncryptionKey();
    error EmptyReason();
    error EndNotInFuture(uint64 until);
    error EndTooFar(uint64 until);
    error NotRestricted(address party);
    error NotAContract(address deployed);

    /// @notice Admits `party` with exactly these roles, or changes the roles and the name of one admitted before. A restriction in
    /// force stays in force. With a role Regulator or IdentityAuthority that the party does not hold now it is announced only. Refused while an
    /// admission of this party is pending: that one is retracted first, which everybody sees.
    function admit(address party, uint8 roles, string calldata name) external;

    /// @notice Makes an announced admission take effect once it is due and until it lapses. Anyone.
    function activate(address party) external;

    /// @notice Stops an announced admission before it is due. A regulator, or one withdrawn less than the admission delay ago.
    function vetoAdmission(address party, string calldata reason) external;

    /// @notice Takes back an announced admission that did not take effect yet, due or not. Only the authority.
    function retractAdmission(address party) external;

    /// @notice Withdraws an admitted party: from the next transaction on it may do nothing. `admit` lets it in again, with what is the
    /// address's own: its restriction, encryption key, recorders that it named and supervisors that it appointed count as before.
    function withdraw(address party) external;

    /// @notice Announces a change. Only the authority, and not what is pending.
    function announceChange(Change change, address first, address second) external;

    /// @notice Makes an announced change take effect once it is due and until it lapses: the next authority itself, the other changes anyone.
    function makeChange(Change change, address first, address second) external;

    /// @notice Stops an announced change before it is due. As `vetoAdmission`.
    function vetoChange(Change change, address first, address second, string calldata reason) external;

    /// @notice Takes back an announced change that was not made yet, due or not; never a hand-over. Only the authority.
    function retractChange(Change change, address first, address second) external;

    /// @notice Lets `recorder` record the caller's requests, at once. Until a consumer names one, none may.
    function nameRecorder(address recorder) external;

    /// @notice Takes a naming back, at once.
    function dismissRecorder(address recorder) external;

    /// @notice Sets the caller's HPKE public key: one suite byte, then the key (docs/spec/custody.md).
    function setEncryptionKey(bytes calldata key) external;

    /// @notice Denies every access of `consumer` until `until` (seconds since 1970, at most five years ahead). A second restriction
    /// replaces the first.
    function restrict(address consumer, uint64 until, string calldata reason) external;

    /// @notice The restricted consumer's appeal, recorded.
    function appeal(string calldata statement) external;

    /// @notice Ends a restriction before its time.
    function lift(address consumer, string calldata reason) external;

    /// @notice Announces the address at which one of the system's contracts is deployed. A new version is a new address.
    function announce(string calldata name, address deployed) external;

    function standingOf(address party) external view returns (Standing memory);

    /// @notice Whether `party` is admitted now and has `role`. Says nothing of restrictions.
    function isActive(address party, Role role) external view returns (bool);

    /// @notice Reverts with the reason when `party` is not admitted now with `role`.
    function requireActive(address party, Role role) external view;

    /// @notice Whether the consumer named this recorder.
    function mayRecord(address consumer, address recorder) external view returns (bool);

    function encryptionKeyOf(address party) external view returns (bytes memory);

    /// @notice The party whose name this is, or was; zero for a name that nobody had.
    function partyNamed(string calldata name) external view returns (address);

    /// @notice The admission that is pending for a party; zeros for none, or one that lapsed.
    function admissionOf(address party) external view returns (Admission memory);

    /// @notice Second from which an announced change can be made; zero for none pending, or one that lapsed.
    function changeDueAt(Change change, address first, address second) external view returns (uint64);

    /// @notice Second until which (exclusive) a withdrawn regulator may still veto.
    function vetoUntil(address regulator) external view returns (uint64);

    /// @notice Whether signers may be checked by this verifier (ERC-7913). Once listed it stays: people's keys rest on it.
    function isVerifier(address verifier) external view returns (bool);

    /// @notice Who acts for the subjects that an identity authority registered, beside itself; zero for nobody.
    function successorOf(address identityAuthority) external view returns (address);

    /// @notice The authority, or the zero address never: it cannot be renounced.
    function authority() external view returns (address);

    /// @notice Whether this deployment is a trial: its delays may be shorter than three days.
    function TRIAL() external view returns (bool);

    /// @notice Seconds from an announcement to its being due. If not taken for as long again, an hour at least, it lapses.
    function ADMISSION_DELAY() external view returns (uint64);
}
