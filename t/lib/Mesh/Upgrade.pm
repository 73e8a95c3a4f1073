package Mesh::Upgrade;

# An nginx that is reloaded and upgraded: a daemon, as only such a master
# obeys WINCH, whose pid changes; and mesh-bench as its clients and provider.
#
#   my $t = Mesh::Upgrade->new;
#   my $serve = serve();
#   $t->write_conf(...); $t->run;
#   my $load = $t->calls(connections => 16, depth => 16);
#   my $old = $t->usr2;
#   $t->leave($old);
#   is($load->result, CLEAN, ...);

use strict;
use warnings;

use parent 'Mesh::Test';

use Exporter ();
use JSON::PP;
use POSIX qw(WNOHANG);
use Time::HiRes qw(time sleep);

use Mesh::Test qw(wait_for);

our @EXPORT = qw(wait_for serve CLEAN memory fds);

sub import { goto &Exporter::import }

# what result() says of a load that nothing happened to
use constant CLEAN => 'errors 0 wrong 0 lost 0 unsent 0 closed 0 events 0 '
                      . 'exit 0';

my %pids;

END {
    my $status = $?;
    kill 'KILL', keys %pids if %pids;
    $? = $status;
}


###############################################################################
# nginx


# masters whose parent is gone become children of the test, which so learns
# how they end

sub adopt {
    my %prctl = (x86_64 => 157, aarch64 => 167);
    my $number = $prctl{(POSIX::uname())[4]}
        // die "the number of prctl() is not known here\n";

    # PR_SET_CHILD_SUBREAPER
    syscall($number, 36, 1, 0, 0, 0) == 0 or die "prctl: $!\n";
}


sub prelude {
    my ($self, $text) = @_;

    return $self->SUPER::prelude($text) =~ s/^daemon off;$/daemon on;/mr;
}


sub run {
    my ($self) = @_;

    adopt();
    unlink $self->pid_path;

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $self->dir . '/stdout';
        open STDERR, '>>', $self->dir . '/stderr';
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE ALRM);
        $self->exec_nginx('nginx.conf', 'error.log');
    }

    waitpid $pid, 0;

    if ($?) {
        Test::More::diag($self->read_file('stderr'), $self->log);
        die "nginx did not start\n";
    }

    wait_for { -s $self->pid_path } 10, 'the pid file';
    @$self{qw(pid started)} = ($self->written, 1);

    wait_for { $self->workers >= $self->configured } 20, 'workers';

    return $self;
}


sub pid_path { $_[0]->dir . '/nginx.pid' }


# the pid in the pid file

sub written {
    my ($self) = @_;
    return $self->read_file($self->pid_path) =~ /(\d+)/ ? $1 : 0;
}


# has this process, a child of the test now or later, ended?

sub ended {
    my ($self, $pid) = @_;

    return 1 if !kill 0, $pid;
    return waitpid($pid, WNOHANG) == $pid ? 1 : 0;
}


# workers of any master of this nginx, leaving ones too

sub everybody {
    my ($self) = @_;

    return grep {
        my $name = $self->read_file("/proc/$_/cmdline");
        $name =~ /^nginx: worker/;
    } $self->leftovers;
}


# the new master starts beside the old one, whose pid is returned; undef if
# it does not

sub usr2 {
    my ($self, %o) = @_;

    my $old = $self->{pid};
    my $emerg = () = $self->grep_log(qr/\[emerg\]/);

    $self->signal('USR2');

    my $new = wait_for {
        return -1 if $self->grep_log(qr/\[emerg\]/) > $emerg;
        my $pid = $self->written;
        $pid && $pid != $old && $pid;
    } 20;

    if (!$new || $new < 0) {
        # whoever failed has said so when the name is given back
        wait_for { $self->written == $old } 10, 'the old pid file';
        return undef;
    }

    $self->{pid} = $new;
    wait_for { $self->workers >= $self->configured } 20, 'new workers';

    return $old;
}


sub of_master {
    my ($self, $master) = @_;

    local $self->{pid} = $master;
    return $self->children(qr/^nginx: worker process/);
}


# WINCH, and once its workers are gone QUIT to a master; true if it goes

sub winch {
    my ($self, $master, $seconds) = @_;

    $self->signal('WINCH', $master);

    return wait_for { !$self->of_master($master) } $seconds // 20;
}


sub leave {
    my ($self, $master, $seconds) = @_;

    $self->winch($master, $seconds) or return 0;
    $self->signal('QUIT', $master);

    return wait_for { $self->ended($master) } 20;
}


# back to the old master

sub rollback {
    my ($self, $old) = @_;

    my $new = $self->{pid};

    $self->signal('HUP', $old);
    wait_for { $self->of_master($old) } 10, 'workers of the old master';
    $self->signal('QUIT', $new);

    wait_for { $self->ended($new) } 20 or return 0;
    $self->{pid} = $old;

    return wait_for { $self->written == $old } 5;
}


# the hand-over sockets that are there

sub sockets {
    my ($self) = @_;

    my @found = glob $self->pid_path . '.mesh.*';

    return @found;
}


# how many connections were sent, received, failed, paused

sub handed {
    my ($self, $event) = @_;
    return $self->metrics->{qq(mesh_handovers_total{event="$event"})} // 0;
}


sub memory {
    my ($pid) = @_;

    open my $status, '<', "/proc/$pid/status" or return 0;
    my ($kb) = join('', <$status>) =~ /^VmRSS:\s+(\d+)/m;

    return $kb // 0;
}


sub fds {
    my ($pid) = @_;
    my @fds = glob "/proc/$pid/fd/*";
    return scalar @fds;
}


###############################################################################
# mesh-bench


sub bench { $ENV{MESH_BENCH} || Mesh::Test->root . '/build/mesh-bench' }


sub start {
    my ($class, @args) = @_;

    my $pid = open my $out, '-|', bench(), @args
        or die 'cannot run ', bench(), ": $!\n";
    $pids{$pid} = 1;

    return bless { process => $pid, out => $out }, 'Mesh::Upgrade::Bench';
}


# an echo provider of bench.Echo: its address

sub serve {
    my (%o) = @_;

    my $self = __PACKAGE__->start('serve', map { ("--$_", $o{$_}) } keys %o);
    ($self->{address}) = readline($self->{out}) =~ /^listening (\S+)/
        or die "no address of the provider\n";

    return $self;
}


# calls(option => value): calls through port "rpc" until its end

sub calls {
    my ($self, %o) = @_;

    my $port = $self->port(delete $o{port} // 'rpc');
    %o = (warmup => 0, drain => '20s', duration => '2s', %o);

    return ref($self)->start('load', '--connect', "127.0.0.1:$port",
        map { defined $o{$_} ? ("--$_", $o{$_}) : "--$_" } sort keys %o);
}


package Mesh::Upgrade::Bench;

use POSIX qw(WNOHANG);

sub address { $_[0]{address} }


# still under way?

sub busy {
    my ($self) = @_;
    return IO::Select->new($self->{out})->can_read(0) ? 0 : 1;
}


sub line { readline $_[0]{out} }


# ends it now

sub finish {
    my ($self) = @_;

    kill 'TERM', $self->{process};

    return $self->result;
}


# waits for the end; the JSON's figures, and "exit"

sub end {
    my ($self) = @_;

    my @lines = readline $self->{out};
    close $self->{out};
    delete $pids{$self->{process}};

    return $self->{end} = { %{ JSON::PP::decode_json($lines[-1] // '{}') },
                            exit => $? >> 8 || $? & 127 };
}


sub result {
    my ($self) = @_;

    my $r = $self->{end} // $self->end;

    return join ' ', map { "$_ " . ($r->{$_} // '?') }
           qw(errors wrong lost unsent closed events exit);
}

sub stop {
    my ($self) = @_;

    kill 'TERM', $self->{process};
    close $self->{out};
    delete $pids{$self->{process}};
}


1;
